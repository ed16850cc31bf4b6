using KvmPortal.Engine.Images;
using KvmPortal.Engine.Jobs;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Plans;

/// <summary>Plans what happens to images. Pure.</summary>
internal static class ImagePlanner
{
    public static Plan Register(RegisterImageIntent intent) => new()
    {
        Steps =
        [
            PlanStep.Host(new RegisterImage { ImageId = intent.ImageId.Value, SourcePath = intent.SourcePath }, $"Copy {Path.GetFileName(intent.SourcePath)} into the image store and inspect it.",
                "Its header is read by our own parser before anything else may open it."),
            PlanStep.Portal(new RecordImage(intent.ImageId), "Publish the image."),
        ],
    };

    public static Plan Delete(Image image, IReadOnlyList<string> users)
    {
        if (users.Count > 0)
            throw new PortalException(ErrorCode.Conflict, $"The image \"{image.Name}\" is in use by {string.Join(", ", users.Take(5))}{(users.Count > 5 ? $" and {users.Count - 5} more" : "")}.")
            {
                Hint = "Delete those machines, or take the image out of their definitions, first.",
            };
        var steps = new List<PlanStep>();
        if (image.Path is not null)
            steps.Add(PlanStep.Host(new DeleteImageFile { ImageId = image.Id.Value, Path = image.Path }, $"Delete the file of {image.Name}.", "This cannot be undone."));
        steps.Add(PlanStep.Portal(new ForgetImage(image.Id), $"Forget {image.Name}."));
        return new Plan { Steps = steps };
    }
}
