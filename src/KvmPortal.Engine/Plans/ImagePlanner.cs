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
            PlanStep.Host(new RegisterImage { ImageId = intent.ImageId.Value, SourcePath = intent.SourcePath }, Say.CopyIntoStore(Path.GetFileName(intent.SourcePath)),
                Say.CopyIntoStoreWhy),
            PlanStep.Portal(new RecordImage(intent.ImageId), Say.PublishImage),
        ],
    };

    public static Plan Delete(Image image, IReadOnlyList<string> users)
    {
        if (users.Count > 0)
            throw new PortalException(ErrorCode.Conflict, users.Count > 5 ? Say.ImageInUseMore(image.Name, string.Join(", ", users.Take(5)), users.Count - 5) : Say.ImageInUse(image.Name, string.Join(", ", users)))
            {
                Hint = Say.ImageInUseHint,
            };
        var steps = new List<PlanStep>();
        if (image.Path is not null)
            steps.Add(PlanStep.Host(new DeleteImageFile { ImageId = image.Id.Value, Path = image.Path }, Say.DeleteImageFile(image.Name), Say.NoUndo));
        steps.Add(PlanStep.Portal(new ForgetImage(image.Id), Say.ForgetImage(image.Name)));
        return new Plan { Steps = steps };
    }
}
