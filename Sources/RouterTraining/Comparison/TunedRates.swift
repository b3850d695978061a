import FileFormats
import RoutingCore

/// The learning rate of each router on a task, as a grid on separate seeds found it.
package struct TunedRates: Sendable, Equatable {
  package static let schema = "routegrad.rates/1"

  /// The model that the rates are for, and the share of its shared teacher.
  package var model: String
  package var shared: Double?
  /// By the router's label.
  package var rates: [(router: String, rate: Double)]

  package init(model: String, shared: Double?, rates: [(router: String, rate: Double)]) {
    self.model = model
    self.shared = shared
    self.rates = rates
  }

  package static func == (a: TunedRates, b: TunedRates) -> Bool {
    a.model == b.model && a.shared == b.shared && a.rates.elementsEqual(b.rates) { $0 == $1 }
  }

  /// A router's rate: its own, or that of the same router with standard parameters; nil if neither was tuned.
  package func rate(of router: TrainingRouter) -> (rate: Double, isOwn: Bool)? {
    if let own = rates.first(where: { $0.router == router.label }) { return (own.rate, true) }
    return rates.first { $0.router == router.id }.map { ($0.rate, false) }
  }

  package var json: JSONValue {
    [
      "schema": .string(Self.schema), "model": .string(model), "shared": JSONValue(shared),
      "rates": .object(rates.map { .init(key: $0.router, value: JSONValue($0.rate)) }),
    ]
  }

  /// The file.
  package var text: String { JSONWriter.indented(json) }

  package init(_ bytes: [UInt8]) throws(InvalidInput) {
    let value: JSONValue
    do { value = try JSONParser.parse(bytes) } catch { throw error.inFile }
    let fields = try JSONFields(value, of: "tuned rates", only: ["schema", "model", "shared", "rates"])
    _ = try fields.word("schema", among: [Self.schema])
    model = try fields.string("model")
    shared = try fields.optionalNumber("shared")
    guard case .object(let members) = try fields.value("rates", "an object") else {
      throw InvalidInput("rates", "expected an object")
    }
    rates = []
    for member in members {
      guard case .number(let rate) = member.value, rate > 0 else {
        throw InvalidInput("rates.\(member.key)", "expected a number above 0")
      }
      rates.append((member.key, rate))
    }
  }
}

/// A grid of learning rates that widens while an optimum sits on its edge.
package enum RateGrid {
  /// Where it begins.
  package static let start = [0.005, 0.01, 0.02, 0.03]
  /// Every rate that it can grow to.
  package static let all = [
    1e-4, 2e-4, 3e-4, 5e-4, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.3, 0.5, 1,
  ]

  /// The rate to try next, if the best of those tried is the lowest or the highest of them.
  ///
  /// - Parameter losses: the mean log final loss at each rate; infinite where a run diverged.
  package static func next(_ losses: [Double: Double]) -> Double? {
    guard let best = best(losses), let place = all.firstIndex(of: best) else { return nil }
    let tried = losses.keys.sorted()
    if best == tried.first, place > 0 { return all[place - 1] }
    if best == tried.last, place < all.count - 1 { return all[place + 1] }
    return nil
  }

  /// The rate with the smallest loss, the lower one of equals.
  package static func best(_ losses: [Double: Double]) -> Double? {
    losses.min { ($0.value, $0.key) < ($1.value, $1.key) }?.key
  }
}
