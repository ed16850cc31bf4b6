using KvmPortal.Faults.Tests;

// As "portal ROOT SCENARIO POINT" this program is the portal that gets killed; else it runs the tests.
if (args is ["portal", var root, var scenario, var point])
    return await VictimProcess.RunAsync(root, scenario, FaultPoint.Parse(point));
return await Xunit.Runner.InProc.SystemConsole.ConsoleRunner.Run(args);
