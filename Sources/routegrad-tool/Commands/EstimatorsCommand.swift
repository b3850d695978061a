import ArgumentParser
import RouteGrad

struct EstimatorsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "estimators",
    abstract: "The estimators, their parameters and what they claim.")

  @Option(help: "The format of the result.")
  var format: Format = .table

  @OptionGroup var runOptions: RunOptions

  enum Format: String, CaseIterable, ExpressibleByArgument {
    case table
    case json
    case markdown
  }

  func run() throws {
    switch format {
    case .table:
      try Output.standard.write(EstimatorCatalogue.text(style: Terminal.style))
    case .json: try Output.standard.write(EstimatorCatalogue.json)
    case .markdown: try Output.standard.write(EstimatorCatalogue.markdown)
    }
  }
}
