import ArgumentParser
import RouteGrad

struct RoutersCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "routers",
    abstract: "Router specifications: what published routers compute.",
    discussion: "docs/router-specifications.md has the language.",
    subcommands: [RoutersListCommand.self, RoutersShowCommand.self, RoutersExplainCommand.self],
    defaultSubcommand: RoutersListCommand.self)
}

struct RoutersListCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "The specifications that come with the program.")

  @Option(help: "The format of the result.")
  var format: Format = .table

  @OptionGroup var runOptions: RunOptions

  enum Format: String, CaseIterable, ExpressibleByArgument {
    case table
    case json
  }

  func run() throws {
    let catalogue = try RouterCatalogue.shipped()
    try Output.standard.write(format == .json ? catalogue.json : catalogue.text(style: Terminal.style))
  }
}

struct RoutersShowCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "show", abstract: "A specification as JSON, to be changed and used as a file.")

  @OptionGroup var router: RouterArgument
  @OptionGroup var runOptions: RunOptions

  func run() throws {
    try Output.standard.write(RouterSpecificationFile.text(of: try router.specification().0))
  }
}

struct RoutersExplainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "explain", abstract: "A specification in plain words, and the mistakes that would show.")

  @OptionGroup var router: RouterArgument
  @OptionGroup var runOptions: RunOptions

  func run() throws {
    let (specification, entry) = try router.specification()
    try Output.standard.write(RouterExplanation(specification, entry: entry).text(style: Terminal.style))
  }
}
