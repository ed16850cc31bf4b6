using KvmPortal.Engine;
using KvmPortal.Host.Contract;
using KvmPortal.Web.Access;
using Microsoft.OpenApi;

namespace KvmPortal.Web.Hosting;

/// <summary>The published contract: /openapi/v1.json and /swagger.</summary>
internal static class OpenApi
{
    public static IServiceCollection AddPortalOpenApi(this IServiceCollection services)
    {
        services.AddEndpointsApiExplorer();
        services.AddSwaggerGen(swagger =>
        {
            swagger.SwaggerDoc("v1", new OpenApiInfo { Title = "KvmPortal", Version = "v1", Description = "Every change is a plan that you can read before it runs, and a job that proves that it ran." });
            foreach (var file in Directory.EnumerateFiles(AppContext.BaseDirectory, "KvmPortal.*.xml"))
                swagger.IncludeXmlComments(file);
            swagger.AddSecurityDefinition("token", new OpenApiSecurityScheme { Type = SecuritySchemeType.Http, Scheme = "bearer", Description = "A personal access token." });
            swagger.AddSecurityRequirement(document => new OpenApiSecurityRequirement { [new OpenApiSecuritySchemeReference("token", document)] = [] });
            swagger.OperationFilter<OpenApiConventions>();
            swagger.SchemaFilter<PolymorphicSchemas>();
            swagger.MapType<CpuSet>(() => new OpenApiSchema { Type = JsonSchemaType.String, Description = "CPU numbers in the kernel's list format, e.g. 0-3,8." });
            swagger.MapType<Sentence>(() => new OpenApiSchema { Type = JsonSchemaType.String });
            swagger.CustomSchemaIds(SchemaName);
        });
        return services;
    }

    public static void MapPortalOpenApi(this WebApplication app)
    {
        app.MapSwagger("/openapi/{documentName}.json");
        app.UseWhen(context => context.Request.Path.StartsWithSegments("/swagger"), branch =>
        {
            branch.Use(async (context, next) =>
            {
                if (context.User.Identity?.IsAuthenticated == true)
                    await next(context);
                else
                    context.Response.Redirect("/sign-in?returnUrl=%2Fswagger");
            });
            branch.UseSwaggerUI(ui =>
            {
                ui.SwaggerEndpoint("/openapi/v1.json", "KvmPortal v1");
                ui.DocumentTitle = "KvmPortal API";
            });
        });
    }

    private static string SchemaName(Type type) => type.IsGenericType
        ? type.Name.Split('`')[0] + string.Concat(type.GetGenericArguments().Select(SchemaName)) : type.Name;
}
