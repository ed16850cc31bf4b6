namespace KvmPortal.Engine;

// Of profiles.
public static partial class Say
{
    public static Sentence ProfileNameRule(int most) => Make($"A profile's name has 1 to {most} small letters, digits and hyphens, and begins with a letter.");
    public static Sentence ProfilePagesRule => Make("Name one or more kinds of pages, each once, best first.");
    public static Sentence ProfileNeedsOwnCpus => Make("Only machines with CPUs of their own can have this: set the pool to dedicated.");
    public static Sentence NoSuchProfile(string name) => Make($"There is no profile \"{name}\".");
    public static Sentence ProfileNameTaken(string name) => Make($"There is a profile {name} already.");
    public static Sentence ProfileStale(string name) => Make($"The profile {name} has been changed since you read it.");
    public static Sentence ProfileBuiltIn(string name) => Make($"The profile {name} comes with the portal and stays as it is.");
    public static Sentence ProfileBuiltInHint => Make("Make a copy of it and change that.");
    public static Sentence ProfileInUse(string name, int count) => Make($"The profile {name} is used by {count} virtual machines.");
    public static Sentence ProfileInUseHint => Make("Give them another profile first.");
    public static Sentence ProfileCreated(string who, string name) => Make($"{who} made the profile {name}.");
    public static Sentence ProfileChanged(string who, string name) => Make($"{who} changed the profile {name}.");
    public static Sentence ProfileDeleted(string who, string name) => Make($"{who} deleted the profile {name}.");
}
