using System.Text.Json;
using System.Text.Json.Nodes;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Vms;
using Microsoft.OpenApi;
using Swashbuckle.AspNetCore.SwaggerGen;

namespace KvmPortal.Web.Hosting;

/// <summary>Marks a route that takes <c>?dryRun=true</c>.</summary>
internal sealed record DryRunMark;

/// <summary>Marks a route that needs <c>If-Match</c>.</summary>
internal sealed record IfMatchMark;

/// <summary>The OpenAPI document, made from the routes and their comments. openapi.json is a committed copy; a test says when they part.</summary>
internal static class ApiDocument
{
    public static TBuilder TakesDryRun<TBuilder>(this TBuilder route) where TBuilder : IEndpointConventionBuilder => route.WithMetadata(new DryRunMark());

    public static TBuilder TakesIfMatch<TBuilder>(this TBuilder route) where TBuilder : IEndpointConventionBuilder => route.WithMetadata(new IfMatchMark());

    public static void AddApiDocument(this IServiceCollection services)
    {
        services.AddEndpointsApiExplorer();
        services.AddTransient<ISerializerDataContractResolver>(_ => new JsonSerializerDataContractResolver(PortalJson.Options));
        services.AddSwaggerGen(o =>
        {
            o.SwaggerDoc("v1", new OpenApiInfo { Title = "KvmPortal", Version = "v1", Description = "Virtual machines on QEMU/KVM. Everything that touches a host is a job; every change can be tried with dryRun=true." });
            foreach (var assembly in new[] { "KvmPortal.Web", "KvmPortal.Engine", "KvmPortal.Host" })
                if (Path.Combine(AppContext.BaseDirectory, assembly + ".xml") is var file && File.Exists(file))
                    o.IncludeXmlComments(file);
            foreach (var id in new[] { typeof(VmId), typeof(JobId), typeof(ImageId), typeof(DiskId), typeof(UserId), typeof(TokenId) })
                o.MapType(id, () => new OpenApiSchema { Type = JsonSchemaType.String, Format = "uuid" });
            o.MapType<AutoOrInt>(() => new OpenApiSchema { OneOf = [new OpenApiSchema { Type = JsonSchemaType.String, Enum = [JsonValue.Create("auto")] }, new OpenApiSchema { Type = JsonSchemaType.Integer, Minimum = "1", Maximum = "8" }] });
            o.MapType<JsonElement>(() => new OpenApiSchema { Description = "Any JSON value." });
            o.SupportNonNullableReferenceTypes();
            o.AddSecurityDefinition("token", new OpenApiSecurityScheme { Type = SecuritySchemeType.Http, Scheme = "bearer", BearerFormat = "kvp_…", Description = "A personal access token." });
            o.AddSecurityRequirement(document => new OpenApiSecurityRequirement { [new OpenApiSecuritySchemeReference("token", document)] = [] });
            o.OperationFilter<SharedAnswers>();
        });
    }

    /// <summary>/openapi/v1.json and /swagger, for who is signed in.</summary>
    public static void MapApiDocument(this WebApplication app)
    {
        app.MapSwagger("/openapi/{documentName}.json").RequireAuthorization();
        app.UseSwaggerUI(o =>
        {
            o.SwaggerEndpoint("/openapi/v1.json", "KvmPortal v1");
            o.DocumentTitle = "KvmPortal REST";
        });
    }

    /// <summary>What every operation shares and no route repeats.</summary>
    private sealed class SharedAnswers : IOperationFilter
    {
        public void Apply(OpenApiOperation operation, OperationFilterContext context)
        {
            var marks = context.ApiDescription.ActionDescriptor.EndpointMetadata;
            operation.Parameters ??= [];
            if (marks.OfType<DryRunMark>().Any())
                Parameter(operation, "dryRun", ParameterLocation.Query, JsonSchemaType.Boolean, "Check and plan only: answers 200 with the plan.");
            if (marks.OfType<IfMatchMark>().Any())
                Parameter(operation, "If-Match", ParameterLocation.Header, JsonSchemaType.String, "The ETag that the change was made on, or *. Missing: 428; stale: 412.");
            if (context.ApiDescription.HttpMethod == "POST")
                Parameter(operation, "Idempotency-Key", ParameterLocation.Header, JsonSchemaType.String, "A repetition within 24 hours gets the first answer again.");
            if (operation.Responses?.ContainsKey("202") == true || marks.OfType<DryRunMark>().Any())
                Parameter(operation, "Prefer", ParameterLocation.Header, JsonSchemaType.String, "wait=N waits up to N (at most 60) seconds for the job's end.");
            var problem = context.SchemaGenerator.GenerateSchema(typeof(ProblemAnswer), context.SchemaRepository);
            operation.Responses ??= [];
            operation.Responses["default"] = new OpenApiResponse { Description = "What went wrong.", Content = new Dictionary<string, IOpenApiMediaType> { ["application/problem+json"] = new OpenApiMediaType { Schema = problem } } };
        }

        private static void Parameter(OpenApiOperation operation, string name, ParameterLocation place, JsonSchemaType type, string text) =>
            operation.Parameters!.Add(new OpenApiParameter { Name = name, In = place, Description = text, Schema = new OpenApiSchema { Type = type } });
    }
}
