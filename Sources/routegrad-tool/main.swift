import ArgumentParser
import CStandardLibrary
import RouteGrad

// Errors are printed here and not by the parser, because their form and their exit statuses are a contract
// (formats.md).
Interruption.install()
do {
  let arguments = Program.arguments
  if Set(arguments) == ["--version", "--verbose"] {
    try Output.standard.write(Terminal.characters(RouteGradCommand.verboseVersion))
    exit(0)
  }
  try RouteGradCommand.requireKnownCommand(arguments)
  var command = try RouteGradCommand.parseAsRoot(arguments)
  try command.run()
} catch {
  Program.exit(with: error)
}
