using KvmPortal.Engine.Data;

namespace KvmPortal.Engine.Access;

/// <summary>By which door a caller came.</summary>
public enum Door { Browser, Token, System }

/// <summary>Who asks. Passed to every operation; roles and permissions join it later, so that no signature changes.</summary>
/// <param name="RequestId">Correlates the answer, the log, the job and the audit row.</param>
public sealed record Caller(UserId? UserId, string Name, Door Door, string RequestId)
{
    /// <summary>The portal itself: start-up, schedules, recovery.</summary>
    public static Caller System(string reason) => new(null, "system", Door.System, reason);
}
