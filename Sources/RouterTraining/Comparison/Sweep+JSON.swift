import FileFormats
import RoutingCore
import RoutingEstimators

extension Sweep {
  /// The file.
  var json: JSONValue {
    [
      "schema": .string(Self.schema), "version": .string(version), "commit": JSONValue(commit),
      "model": .string(settings.id), "settings": settings.json, "plan": plan.json,
      "routers": .array(routers.map { .string($0.specification) }), "seeds": Self.json(seeds),
      "grid": grid.map {
        [
          "seeds": Self.json($0.seeds), "rates": JSONValue($0.rates), "loadBalances": JSONValue($0.loadBalances),
          "zLosses": JSONValue($0.zLosses),
        ]
      } ?? .null,
      "points": .array(
        points.map { ["rate": JSONValue($0.rate), "weights": $0.weights.json] }),
      "notes": .array(notes.map { .string($0) }),
    ]
  }

  package var text: String { JSONWriter.indented(json) }

  private static func json(_ seeds: Range<UInt64>) -> JSONValue {
    ["first": .string("\(seeds.lowerBound)"), "count": JSONValue(seeds.count)]
  }

  /// Writes the file, so that others know what is to be trained. Any number of programs may do so at once, on any machines.
  func save(in folder: String) throws(Refusal) {
    try RunFiles.makeFolder(folder)
    let bytes = Array(text.utf8)
    let path = "\(folder)/\(Self.fileName)"
    if let there = try? FileReading.bytes(of: path), there == bytes { return }
    // No two write to one file on the way.
    let file = try AtomicFile(
      replacing: path, through: .suffix("-\(UInt64.random(in: 0...UInt64.max))\(RunFiles.temporarySuffix)"))
    try file.write(bytes)
    try file.finish()
  }

  /// Removes what writers that were killed have left, once all is trained, when nobody writes any more.
  package static func removeLeftovers(in folder: String) {
    for name in RunFiles.names(in: folder) ?? []
    where name.hasPrefix("\(fileName)-") && name.hasSuffix(RunFiles.temporarySuffix) {
      RunFiles.remove("\(folder)/\(name)")
    }
  }

  /// The sweep that a folder is of; nil if it says of none.
  ///
  /// - Throws: ``Refusal`` if its file is damaged.
  package init?(in folder: String) throws(Refusal) {
    guard RunFiles.names(in: folder)?.contains(Self.fileName) ?? false else { return nil }
    let file = "\(folder)/\(Self.fileName)"
    let bytes = try FileReading.bytes(of: file)
    do throws(InvalidInput) {
      let value: JSONValue
      do { value = try JSONParser.parse(bytes) } catch { throw error.inFile }
      try self.init(value)
    } catch {
      throw Refusal(.wrongData, "\(file): \(error.description.onOneLine)")
    }
  }

  init(_ value: JSONValue) throws(InvalidInput) {
    let fields = try JSONFields(
      value, of: "a sweep",
      only: [
        "schema", "version", "commit", "model", "settings", "plan", "routers", "seeds", "grid", "points", "notes",
      ])
    _ = try fields.word("schema", among: [Self.schema])
    version = try fields.string("version")
    commit = try fields.value("commit", "a string or null") == .null ? nil : fields.string("commit")
    settings = try ModelRegistry.settings(id: fields.string("model"), fields.value("settings", "settings"))
    do throws(InvalidInput) {
      plan = try TrainingPlan(fields.value("plan", "a training plan"))
    } catch {
      throw error.inside("plan")
    }
    routers = []
    for (k, item) in try Self.items("routers", fields).enumerated() {
      guard case .string(let text) = item else { throw InvalidInput("routers[\(k)]", "expected a string") }
      do throws(InvalidEstimator) {
        routers.append(try TrainingRouter(text))
      } catch {
        throw InvalidInput("routers[\(k)]", error.description)
      }
      let label = routers[k].label
      guard !routers[..<k].contains(where: { $0.label == label }) else {
        throw InvalidInput("routers[\(k)]", "expected each router once, got '\(label)' twice")
      }
    }
    seeds = try Self.seeds("seeds", fields, Comparison.seedsLimit)
    grid = nil
    if try fields.isGiven("grid") {
      let members = try fields.object("grid", of: "a grid", only: ["seeds", "rates", "loadBalances", "zLosses"])
      do throws(InvalidInput) {
        grid = TuningGrid(
          seeds: try Self.seeds("seeds", members, Comparison.seedsLimit),
          rates: try Self.values("rates", members, TrainingPlan.learningRateLimit),
          loadBalances: try members.isGiven("loadBalances") ? Self.values("loadBalances", members, .notNegative) : nil,
          zLosses: try members.isGiven("zLosses") ? Self.values("zLosses", members, .notNegative) : nil)
      } catch {
        throw error.inside("grid")
      }
    }
    points = []
    for (k, item) in try Self.items("points", fields).enumerated() {
      do throws(InvalidInput) {
        let members = try JSONFields(item, of: "a point", only: ["rate", "weights"])
        points.append(
          TunedPoint(
            rate: try members.number("rate", TrainingPlan.learningRateLimit),
            weights: try AuxiliaryWeights("weights", of: members)))
      } catch {
        throw error.inside("points", at: k)
      }
    }
    let expected = grid == nil ? routers.count : 0
    try Limit("\(expected) points, of each router without a grid") { $0 == expected }.require("points", points.count)
    notes = []
    for (k, item) in try Self.items("notes", fields).enumerated() {
      guard case .string(let text) = item else { throw InvalidInput("notes[\(k)]", "expected a string") }
      notes.append(text)
    }
    try validate()
  }

  private static func items(_ key: String, _ fields: JSONFields) throws(InvalidInput) -> [JSONValue] {
    switch try fields.value(key, "a list") {
    case .array(let items): return items
    case .numbers(let numbers): return numbers.map { .number($0) }
    case let other: throw InvalidInput(key, "expected a list, got \(other.kind)")
    }
  }

  private static func values(
    _ key: String, _ fields: JSONFields, _ limit: Limit<Double>
  ) throws(InvalidInput) -> [Double] {
    let values = try fields.numbers(key)
    try TuningGrid.valuesLimit.require(key, values.count)
    for (k, value) in values.enumerated() { try limit.require("\(key)[\(k)]", value) }
    return values
  }

  private static func seeds(
    _ key: String, _ fields: JSONFields, _ limit: Limit<Int>
  ) throws(InvalidInput) -> Range<UInt64> {
    let members = try fields.object(key, of: "seeds", only: ["first", "count"])
    do throws(InvalidInput) {
      let (digits, count) = (try members.string("first"), try members.integer("count", limit))
      guard let first = UInt64(digits), "\(first)" == digits, first <= TuningGrid.firstSeed else {
        throw InvalidInput("first", "expected a whole number from 0 to \(TuningGrid.firstSeed), as text")
      }
      return first..<first + UInt64(count)
    } catch {
      throw error.inside(key)
    }
  }
}
