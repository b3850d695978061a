import CShippedProblems
import FileFormats
import RouterSpecifications
import RoutingCore

/// Router specifications by name: one for each family of published models that the language has words for.
///
/// *Source*: Fixtures/routers/catalogue.json, in which each entry has its own; docs/router-specifications.md.
public struct RouterCatalogue: Sendable {
  /// The specifications, in the order in which they are listed.
  public let entries: [Entry]
  /// What cannot be said.
  public let notSaid: [Omission]

  /// A specification and where it is from.
  public struct Entry: Sendable {
    /// Its name.
    public var name: String
    /// The models that have such routers, in the words of `transformers`; none for a paper's own.
    public var models: [String]
    /// Code or paper.
    public var source: String
    /// What it computes, with one model's number of experts.
    public var specification: RouterSpecification
    /// What else is to be known.
    public var notes: String
  }

  /// A router that the language has no words for.
  public struct Omission: Sendable {
    /// Its name.
    public var name: String
    /// Why.
    public var reason: String
  }

  /// The catalogue that ships with the program.
  ///
  /// - Throws: ``Refusal`` of code `wrongData`, never for a program that was built from a checkout that passes its tests.
  public static func shipped() throws(Refusal) -> RouterCatalogue {
    guard let file = rg_shipped_routers()?.pointee else { return RouterCatalogue(entries: [], notSaid: []) }
    let bytes = [UInt8](UnsafeBufferPointer(start: file.bytes, count: file.count))
    do throws(InvalidInput) {
      return try RouterCatalogue(try ProblemFile.root(of: bytes))
    } catch {
      throw Refusal(file: String(cString: file.name), error)
    }
  }

  private init(entries: [Entry], notSaid: [Omission]) {
    self.entries = entries
    self.notSaid = notSaid
  }

  init(_ value: JSONValue) throws(InvalidInput) {
    let fields = try JSONFields(value, of: "a catalogue", only: ["schema", "entries", "not-said"])
    _ = try fields.word("schema", among: ["routegrad.router-catalogue/1"])
    entries = try fields.list("entries", "a list of routers", Entry.init(_:))
    notSaid = try fields.list("not-said", "a list of routers", Omission.init(_:))
    for (k, entry) in entries.enumerated() where entries[..<k].contains(where: { $0.name == entry.name }) {
      throw InvalidInput("entries[\(k)].name", "expected another name, got \(entry.name) again")
    }
  }

  /// The entry of a name.
  public func entry(named name: String) -> Entry? { entries.first { $0.name == name } }
}

extension RouterCatalogue.Entry {
  fileprivate init(_ value: JSONValue) throws(InvalidInput) {
    let fields = try JSONFields(
      value, of: "a router", only: ["name", "models", "source", "spec", "notes", "blocks"])
    name = try fields.string("name")
    models = try fields.list("models", "a list of names") { (value) throws(InvalidInput) in
      guard case .string(let name) = value else { throw InvalidInput("", "expected a name, got \(value.kind)") }
      return name
    }
    source = try fields.string("source")
    specification = try fields.part("spec", "a specification", RouterSpecification.init(_:))
    notes = try fields.given("notes") { (fields, key) throws(InvalidInput) in try fields.string(key) } ?? ""
    guard specification.name == name else {
      throw InvalidInput("spec.name", "expected \"\(name)\", the entry's own, got \"\(specification.name)\"")
    }
  }
}

extension RouterCatalogue.Omission {
  fileprivate init(_ value: JSONValue) throws(InvalidInput) {
    let fields = try JSONFields(value, of: "a router", only: ["name", "reason"])
    name = try fields.string("name")
    reason = try fields.string("reason")
  }
}

/// Files that are a router specification.
public enum RouterSpecificationFile {
  /// The specification of a file.
  ///
  /// - Throws: ``Refusal`` of code `wrongData` for the first thing that is wrong.
  public static func specification(of bytes: [UInt8], file: String) throws(Refusal) -> RouterSpecification {
    do throws(InvalidInput) {
      return try RouterSpecification(try ProblemFile.root(of: bytes))
    } catch {
      throw Refusal(file: file, error)
    }
  }

  /// A specification as a file.
  public static func text(of specification: RouterSpecification) -> String { JSONWriter.indented(specification.json) }
}
