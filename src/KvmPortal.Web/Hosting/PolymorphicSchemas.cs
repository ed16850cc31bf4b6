using System.Reflection;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using Microsoft.OpenApi;
using Swashbuckle.AspNetCore.SwaggerGen;

namespace KvmPortal.Web.Hosting;

/// <summary>Publishes a closed list of kinds as one of their schemas, each with the member that names its kind.</summary>
internal sealed class PolymorphicSchemas : ISchemaFilter
{
    /// <inheritdoc/>
    public void Apply(IOpenApiSchema schema, SchemaFilterContext context)
    {
        var kinds = context.Type.GetCustomAttributes<JsonDerivedTypeAttribute>(inherit: false).ToList();
        if (kinds.Count == 0 || schema is not OpenApiSchema one)
            return;
        var name = context.Type.GetCustomAttribute<JsonPolymorphicAttribute>(inherit: false)?.TypeDiscriminatorPropertyName ?? "$type";
        one.OneOf = [];
        (one.Type, one.AdditionalPropertiesAllowed) = (null, true);
        foreach (var kind in kinds)
        {
            one.OneOf.Add(context.SchemaGenerator.GenerateSchema(kind.DerivedType, context.SchemaRepository));
            if (!context.SchemaRepository.TryLookupByType(kind.DerivedType, out var reference) || context.SchemaRepository.Schemas[reference.Reference.Id!] is not OpenApiSchema made)
                continue;
            made.Properties = new Dictionary<string, IOpenApiSchema>(made.Properties ?? new Dictionary<string, IOpenApiSchema>()) { [name] = new OpenApiSchema { Type = JsonSchemaType.String, Enum = [JsonValue.Create($"{kind.TypeDiscriminator}")] } };
            made.Required = new HashSet<string>(made.Required ?? new HashSet<string>()) { name };
        }
    }
}
