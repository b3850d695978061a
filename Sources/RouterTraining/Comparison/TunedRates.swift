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
  /// The weights of the auxiliary losses, by the router's label, where these were tuned, too.
  package var weights: [(router: String, weights: AuxiliaryWeights)] = []

  package init(model: String, shared: Double?, rates: [(router: String, rate: Double)]) {
    self.model = model
    self.shared = shared
    self.rates = rates
  }

  package static func == (a: TunedRates, b: TunedRates) -> Bool {
    a.model == b.model && a.shared == b.shared && a.rates.elementsEqual(b.rates) { $0 == $1 }
      && a.weights.elementsEqual(b.weights) { $0 == $1 }
  }

  /// A router's rate: its own, or that of the same router with standard parameters; nil if neither was tuned. Weights that were tuned
  /// come with it.
  package func rate(of router: TrainingRouter) -> (rate: Double, weights: AuxiliaryWeights?, isOwn: Bool)? {
    func found(_ name: String, isOwn: Bool) -> (rate: Double, weights: AuxiliaryWeights?, isOwn: Bool)? {
      rates.first { $0.router == name }.map { entry in
        (entry.rate, weights.first { $0.router == name }?.weights, isOwn)
      }
    }
    return found(router.label, isOwn: true) ?? found(router.id, isOwn: false)
  }

  package var json: JSONValue {
    var members: [JSONValue.Member] = [
      .init(key: "schema", value: .string(Self.schema)), .init(key: "model", value: .string(model)),
      .init(key: "shared", value: JSONValue(shared)),
      .init(key: "rates", value: .object(rates.map { .init(key: $0.router, value: JSONValue($0.rate)) })),
    ]
    if !weights.isEmpty {
      let list = weights.map { JSONValue.Member(key: $0.router, value: $0.weights.json) }
      members.append(.init(key: "weights", value: .object(list)))
    }
    return .object(members)
  }

  /// The file.
  package var text: String { JSONWriter.indented(json) }

  package init(_ bytes: [UInt8]) throws(InvalidInput) {
    let value: JSONValue
    do { value = try JSONParser.parse(bytes) } catch { throw error.inFile }
    let fields = try JSONFields(value, of: "tuned rates", only: ["schema", "model", "shared", "rates", "weights"])
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
    guard fields.has("weights") else { return }
    let own = try fields.object("weights", of: "weights of auxiliary losses by router")
    do throws(InvalidInput) {
      for name in own.names { weights.append((name, try AuxiliaryWeights(name, of: own))) }
    } catch {
      throw error.inside("weights")
    }
  }
}

/// A line of learning rates that widens while its optimum sits on its edge.
package enum RateGrid {
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
