using Microsoft.OpenApi;
using Swashbuckle.AspNetCore.SwaggerGen;

namespace KvmPortal.Web.Hosting;

/// <summary>Writes into the published contract what the conventions add to many operations: query parameters, request headers and problem answers.</summary>
internal sealed class OpenApiConventions : IOperationFilter
{
    private static readonly Dictionary<string, (string Name, string Text)[]> Queries = new()
    {
        ["list"] = [("limit", "1 to 500; default 100"), ("cursor", "nextCursor of the page before"), ("sort", "a field, with - in front for descending"), ("q", "free text"), ("filter", "field op value, and / or / not, parentheses")],
        ["getJob"] = [("wait", "answer when the job has ended, or after that many seconds (at most 300)")],
        ["getJobLog"] = [("after", "lines after this number")],
        ["readSerial"] = [("from", "offset of the first byte wanted"), ("wait", "seconds to wait for the first byte (at most 60)")],
        ["getVmMetrics"] = [("window", "30s, 10m, 6h, 7d"), ("step", "distance of the points, in the same form")],
        ["getHostMetrics"] = [("window", "30s, 10m, 6h, 7d"), ("step", "distance of the points, in the same form")],
        ["getHostInventory"] = [("version", "as it was then; without it the newest")],
        ["uploadImage"] = [("name", "the image's name"), ("kind", "qcow2, raw, iso, kernel or initrd: anything else is refused")],
        ["putImage"] = [("kind", "qcow2, raw, iso, kernel or initrd: anything else is refused")],
        ["watchEvents"] = [("since", "events after this sequence number; 0 for all that are kept")],
    };

    private static readonly HashSet<string> Planned = ["createVm", "replaceVm", "patchVm", "deleteVm", "actOnVm", "deleteImage", "registerImage", "proveAccelerator", "prepareHost", "undoPreparation"];
    private static readonly HashSet<string> Versioned = ["replaceVm", "patchVm", "deleteVm"];

    /// <inheritdoc/>
    public void Apply(OpenApiOperation operation, OperationFilterContext context)
    {
        var id = operation.OperationId ?? "";
        operation.Parameters ??= [];
        foreach (var (name, text) in Queries.GetValueOrDefault(id.StartsWith("list", StringComparison.Ordinal) ? "list" : id, []))
            Add(operation, name, ParameterLocation.Query, JsonSchemaType.String, text);
        if (Planned.Contains(id))
        {
            Add(operation, "dryRun", ParameterLocation.Query, JsonSchemaType.Boolean, "true: answer 200 with the plan and change nothing");
            Add(operation, "Prefer", ParameterLocation.Header, JsonSchemaType.String, "wait=N: wait up to N seconds for the job to end");
        }

        if (Versioned.Contains(id))
            Add(operation, "If-Match", ParameterLocation.Header, JsonSchemaType.String, "the etag of the last read, or * for any", required: true);
        if (context.ApiDescription.HttpMethod == "POST")
            Add(operation, "Idempotency-Key", ParameterLocation.Header, JsonSchemaType.String, "the same key and body get the same answer for 24 hours");
        var problem = context.SchemaGenerator.GenerateSchema(typeof(ProblemResponse), context.SchemaRepository);
        operation.Responses ??= [];
        operation.Responses["default"] = new OpenApiResponse
        {
            Description = "What is wrong, as RFC 9457 problem details.",
            Content = new Dictionary<string, IOpenApiMediaType> { [ProblemAnswers.ContentType] = new OpenApiMediaType { Schema = problem } },
        };
    }

    private static void Add(OpenApiOperation operation, string name, ParameterLocation place, JsonSchemaType type, string text, bool required = false) =>
        operation.Parameters!.Add(new OpenApiParameter { Name = name, In = place, Description = text, Required = required, Schema = new OpenApiSchema { Type = type } });
}
