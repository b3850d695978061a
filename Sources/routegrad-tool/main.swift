import ArgumentParser
import CStandardLibrary
import RouteGrad

// Errors are printed here and not by the parser, because their form and their exit statuses are a contract
// (formats.md).
Interruption.install()
do {
  if Set(CommandLine.arguments.dropFirst()) == ["--version", "--verbose"] {
    try Output.standard.write(Terminal.characters(RouteGradCommand.verboseVersion))
    exit(0)
  }
  try RouteGradCommand.requireKnownCommand(Array(CommandLine.arguments.dropFirst()))
  var command = try RouteGradCommand.parseAsRoot()
  try command.run()
} catch {
  Program.exit(with: error)
}
