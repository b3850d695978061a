import FileFormats
public import LayerAudits
import RouterSpecifications
import RoutingCore

extension DumpedLayer {
  /// Reads a layer: a `.safetensors` file of the format `routegrad.layer/2` or `routegrad.layer/1`.
  ///
  /// - Parameters:
  ///   - bytes: the file's.
  ///   - threads: how many threads convert its numbers; it does not change the result.
  /// - Throws: `InvalidInput` for the first thing that is wrong.
  public init(_ bytes: [UInt8], threads: Int = 1) throws(InvalidInput) {
    try self.init(bytes, threads: threads, specification: Self.specification)
  }

  /// What the metadata's entry `router` stands for: a specification in the form `routegrad.router-spec/1`, or the name of an entry
  /// of the catalogue, which then is that of a layer of so many experts.
  private static func specification(_ text: String, experts: Int) throws(InvalidInput) -> RouterSpecification {
    if text.first(where: { !$0.isWhitespace }) == "{" {
      return try RouterSpecification(try ProblemFile.root(of: Array(text.utf8)))
    }
    let catalogue: RouterCatalogue
    do { catalogue = try RouterCatalogue.shipped() } catch { throw InvalidInput("", error.description) }
    guard var found = catalogue.entry(named: text)?.specification else {
      throw InvalidInput(
        "",
        "expected a router specification or the name of one ('routegrad routers' lists them), got '\(text.clipped(to: 40))'"
      )
    }
    found.experts = experts
    try found.validate()
    return found
  }
}
