using System.Text.Json;
using System.Text.Json.Nodes;
using KvmPortal.Engine;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Placements;
using KvmPortal.Engine.Plans.Placement;
using KvmPortal.Web.Access;
using KvmPortal.Web.Hosting;

namespace KvmPortal.Web.Vms;

/// <summary>What machines' owners need, as data: the portal's profiles, and the operators' own copies of them.</summary>
internal static class ProfilesApi
{
    public static void MapProfilesApi(this IEndpointRouteBuilder api)
    {
        api.MapGet("/profiles", ListAsync).WithName("listProfiles");
        api.MapGet("/profiles/{name}", GetAsync).WithName("getProfile").Produces<ProfileResponse>();
        api.MapPost("/profiles", CreateAsync).WithName("createProfile").Accepts<ProfileRequest>("application/json").Produces<ProfileResponse>(201);
        api.MapPatch("/profiles/{name}", ChangeAsync).WithName("changeProfile").Accepts<ProfileChange>("application/merge-patch+json", "application/json").Produces<ProfileResponse>();
        api.MapDelete("/profiles/{name}", DeleteAsync).WithName("deleteProfile").Produces(204);
    }

    /// <summary>The portal's own profiles, then the operators' by name.</summary>
    private static async Task<ItemList<ProfileResponse>> ListAsync(HttpContext context, ProfileOperations profiles, CancellationToken ct) =>
        new([.. (await profiles.ListAsync(context.Caller(), ct)).Select(ProfileResponse.From)]);

    /// <summary>One profile, with its etag.</summary>
    private static async Task<IResult> GetAsync(HttpContext context, ProfileOperations profiles, string name, CancellationToken ct) =>
        Answer(context, await profiles.GetAsync(context.Caller(), name, ct), StatusCodes.Status200OK);

    /// <summary>A copy of another profile; `knobs` names only what is to differ.</summary>
    private static async Task<IResult> CreateAsync(HttpContext context, ProfileOperations profiles, CancellationToken ct)
    {
        var request = await JsonBody.ReadAsync<ProfileRequest>(context.Request, ct);
        var basis = (await profiles.ListAsync(context.Caller(), ct)).FirstOrDefault(p => p.Name == request.BasedOn)
            ?? throw PortalException.Invalid([new Problem("/basedOn", "unknown-profile", Say.NoSuchProfile(request.BasedOn.Length > 64 ? request.BasedOn[..64] : request.BasedOn)).WithFit(Profiles.General.Name)]);
        var made = await profiles.CreateAsync(context.Caller(), basis.Name, request.Description, Merged(basis.Knobs, request.Knobs) with { Name = request.Name }, ct);
        context.Response.Headers.Location = $"/api/v1/profiles/{made.Name}";
        return Answer(context, made, StatusCodes.Status201Created);
    }

    /// <summary>Changes an operator's profile: a merge patch of `description` and `knobs`. Holds for starts from then on.</summary>
    private static async Task<IResult> ChangeAsync(HttpContext context, ProfileOperations profiles, string name, CancellationToken ct)
    {
        var expected = context.Request.IfMatch();
        var change = await JsonBody.ReadAsync<ProfileChange>(context.Request, ct);
        var now = await profiles.GetAsync(context.Caller(), name, ct);
        return Answer(context, await profiles.ChangeAsync(context.Caller(), name, change.Description ?? now.Description, Merged(now.Knobs, change.Knobs), expected ?? now.Version, ct), StatusCodes.Status200OK);
    }

    /// <summary>Deletes an operator's profile that no machine uses.</summary>
    private static async Task<IResult> DeleteAsync(HttpContext context, ProfileOperations profiles, string name, CancellationToken ct)
    {
        await profiles.DeleteAsync(context.Caller(), name, context.Request.IfMatch(), ct);
        return Results.NoContent();
    }

    private static Profile Merged(Profile basis, JsonObject? knobs)
    {
        if (knobs is null)
            return basis;
        try
        {
            // Null takes a limit off; a merge patch would have to leave the member out.
            var merged = JsonSerializer.SerializeToNode(basis, PortalJson.Options)!.AsObject();
            foreach (var (name, value) in knobs)
                merged[name] = value?.DeepClone();
            return JsonBody.Convert<Profile>(merged) with { Name = basis.Name };
        }
        catch (PortalException e) when (e.Problems.Count > 0)
        {
            throw new PortalException(e.Code, e.Said) { Problems = [.. e.Problems.Select(p => p with { Pointer = $"/knobs{p.Pointer}" })] };
        }
    }

    private static IResult Answer(HttpContext context, ProfileView profile, int status)
    {
        var response = ProfileResponse.From(profile);
        context.Response.Headers.ETag = response.Etag;
        return Results.Json(response, PortalJson.Options, statusCode: status);
    }
}

/// <param name="BasedOn">The profile that is copied.</param>
/// <param name="Knobs">Members of a profile that are to differ.</param>
public sealed record ProfileRequest(string Name, string BasedOn, string Description = "", JsonObject? Knobs = null);

/// <summary>What is left out stays.</summary>
public sealed record ProfileChange(string? Description = null, JsonObject? Knobs = null);

/// <summary>A profile, with what it costs where it differs from the one that it was copied from.</summary>
public sealed record ProfileResponse(string Name, bool BuiltIn, string? BasedOn, string Description, Profile Knobs, int UsedBy, IReadOnlyList<Sentence> Costs, string Etag)
{
    public static ProfileResponse From(ProfileView p) => new(p.Name, p.BuiltIn, p.BasedOn, p.Description, p.Knobs, p.UsedBy, p.Costs, VmResponse.ETagOf(p.Version));
}
