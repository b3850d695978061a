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
  /// - Throws: `Refusal` if there is neither an entry nor a file of the name, else as reading the file does.
  func specification() throws -> (RouterSpecification, RouterCatalogue.Entry?) { try Self.find(router) }

  /// The specification of a name or file, with another number of experts if one is given.
  ///
  /// - Throws: as ``specification()``, and `Refusal` if it cannot have that many experts.
  static func specification(_ name: String, experts: Int?) throws -> RouterSpecification {
    let (specification, _) = try find(name)
    guard let experts else { return specification }
    do throws(InvalidInput) {
      return try specification.with(experts: experts)
    } catch {
      throw Refusal(.wrongUsage, "'--experts': \(specification.name) with \(experts) experts: \(error)")
    }
  }

  private static func find(_ name: String) throws -> (RouterSpecification, RouterCatalogue.Entry?) {
    let catalogue = try RouterCatalogue.shipped()
    if let entry = catalogue.entry(named: name) { return (entry.specification, entry) }
    guard name == "-" || name.contains("/") || name.contains(".") else {
      let names = catalogue.entries.map(\.name).joined(separator: ", ")
      throw Refusal(.wrongUsage, "unknown router '\(name.clipped)'; expected a file or one of \(names)")
    }
    let bytes = try Input.bytes(of: name)
    return (try RouterSpecificationFile.specification(of: bytes, file: Input.name(of: name)), nil)
  }
}

extension String {
  fileprivate var clipped: String { count <= 60 ? self : prefix(59) + "…" }
}
