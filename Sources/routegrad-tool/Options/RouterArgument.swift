import ArgumentParser
import RouteGrad

/// A router specification: a name of the catalogue, or a file.
struct RouterArgument: ParsableArguments {
  @Argument(
    help: ArgumentHelp(
      "A router of the catalogue ('routegrad routers'), or a file with a specification; '-' is standard input.",
      valueName: "router"), completion: .list(Completion.specifications))
  var router: String

  /// The specification, and its entry in the catalogue if it has one.
  ///
  /// - Throws: `Failure` if there is neither an entry nor a file of the name, else as reading the file does.
  func specification() throws -> (RouterSpecification, RouterCatalogue.Entry?) {
    let catalogue = try RouterCatalogue.shipped()
    if let entry = catalogue.entry(named: router) { return (entry.specification, entry) }
    guard router == "-" || router.contains("/") || router.contains(".") else {
      let names = catalogue.entries.map(\.name).joined(separator: ", ")
      throw Refusal(.wrongUsage, "unknown router '\(router.clipped)'; expected a file or one of \(names)")
    }
    let bytes = try Input.bytes(of: router)
    return (try RouterSpecificationFile.specification(of: bytes, file: Input.name(of: router)), nil)
  }
}

extension String {
  fileprivate var clipped: String { count <= 60 ? self : prefix(59) + "…" }
}
