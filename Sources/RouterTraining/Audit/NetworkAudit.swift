import FileFormats
import RoutingCore

/// The gradients of a network's routers as training gives them, against dense back-propagation and, for some tokens, against the exact
/// gradient of the expected loss.
///
/// *Source*: docs/guides/training.md.
package struct NetworkAudit: Sendable, Equatable {
  /// A gradient against another, which is the target.
  package struct Gradient: Sendable, Equatable {
    /// ‖target‖.
    package var targetNorm: Double
    /// ‖ĝ − target‖/‖target‖; nil where that is 0/0 or not finite, as for all that follow.
    package var relativeBias: Double?
    /// The cosine of the angle between the two.
    package var cosine: Double?
    /// ‖unseen‖²/(‖seen‖² + ‖unseen‖²).
    package var unseen: Double?
  }

  /// Some tokens whose other experts were tried.
  package struct Contrast: Sendable, Equatable {
    package var tokens: Int
    /// The norm of the exact gradient of these tokens' logits.
    package var targetNorm: Double
    /// Of the router's gradient: its mean where its draws can be listed, else the draw that was made.
    package var relativeBias: Double?
    /// √(tr Cov ĝ)/‖target‖, of the token's own draws; nil where they cannot be listed.
    package var relativeDeviation: Double?
    package var cosine: Double?
    /// Of dense back-propagation.
    package var denseRelativeBias, denseCosine: Double?
  }

  /// One layer of experts.
  package struct Layer: Sendable, Equatable {
    /// `blocks.1`.
    package var name: String
    package var experts: Int
    package var tokens: Int
    /// At the logits, `[tokens, experts]`, and at the router's weight.
    package var logits, weight: Gradient
    /// The fullest expert's share of the choices times N.
    package var largestLoad: Double?
    /// The experts without a token.
    package var unused: Int
    /// The choices that an expert had no room for.
    package var turnedAway: Int
    package var contrast: Contrast?
  }

  /// In the order of the model.
  package var layers: [Layer]
}

// MARK: - In a line of metrics

extension NetworkAudit {
  package static let target = "dense-backward"

  package var json: JSONValue {
    ["target": .string(Self.target), "layers": .array(layers.map(\.json))]
  }

  init(_ fields: JSONFields) throws(InvalidInput) {
    try fields.requireOnly(["target", "layers"])
    _ = try fields.word("target", among: [Self.target])
    guard case .array(let items) = try fields.value("layers", "a list of layers") else {
      throw InvalidInput("layers", "expected a list, got \(try fields.value("layers", "").kind)")
    }
    layers = []
    for (k, item) in items.enumerated() {
      do throws(InvalidInput) {
        layers.append(try Layer(JSONFields(item, of: "a layer's audit")))
      } catch {
        throw error.inside("layers", at: k)
      }
    }
  }
}

extension NetworkAudit.Layer {
  fileprivate var json: JSONValue {
    [
      "name": .string(name), "experts": JSONValue(experts), "tokens": JSONValue(tokens), "logits": logits.json,
      "weight": weight.json, "largestLoad": JSONValue(largestLoad), "unused": JSONValue(unused),
      "turnedAway": JSONValue(turnedAway), "contrast": contrast?.json ?? .null,
    ]
  }

  fileprivate init(_ fields: JSONFields) throws(InvalidInput) {
    try fields.requireOnly([
      "name", "experts", "tokens", "logits", "weight", "largestLoad", "unused", "turnedAway", "contrast",
    ])
    name = try fields.string("name")
    experts = try fields.integer("experts", .count)
    tokens = try fields.integer("tokens", .count)
    logits = try fields.gradient("logits")
    weight = try fields.gradient("weight")
    largestLoad = try fields.limited("largestLoad", .notNegative)
    unused = try fields.integer("unused", .count)
    turnedAway = try fields.integer("turnedAway", .count)
    contrast = try fields.isGiven("contrast") ? NetworkAudit.Contrast(fields) : nil
  }
}

extension NetworkAudit.Gradient {
  fileprivate var json: JSONValue {
    [
      "targetNorm": JSONValue(targetNorm), "relativeBias": JSONValue(relativeBias), "cosine": JSONValue(cosine),
      "unseen": JSONValue(unseen),
    ]
  }
}

extension NetworkAudit.Contrast {
  fileprivate var json: JSONValue {
    [
      "tokens": JSONValue(tokens), "targetNorm": JSONValue(targetNorm), "relativeBias": JSONValue(relativeBias),
      "relativeStandardDeviation": JSONValue(relativeDeviation), "cosine": JSONValue(cosine),
      "dense": ["relativeBias": JSONValue(denseRelativeBias), "cosine": JSONValue(denseCosine)],
    ]
  }

  fileprivate init(_ layer: JSONFields) throws(InvalidInput) {
    let fields = try layer.object(
      "contrast", of: "a contrast",
      only: ["tokens", "targetNorm", "relativeBias", "relativeStandardDeviation", "cosine", "dense"])
    do throws(InvalidInput) {
      tokens = try fields.integer("tokens", .count)
      targetNorm = try fields.number("targetNorm", .notNegative)
      relativeBias = try fields.limited("relativeBias", .notNegative)
      relativeDeviation = try fields.limited("relativeStandardDeviation", .notNegative)
      cosine = try fields.limited("cosine", .number(-1...1))
      let dense = try fields.object("dense", of: "dense back-propagation", only: ["relativeBias", "cosine"])
      do throws(InvalidInput) {
        denseRelativeBias = try dense.limited("relativeBias", .notNegative)
        denseCosine = try dense.limited("cosine", .number(-1...1))
      } catch {
        throw error.inside("dense")
      }
    } catch {
      throw error.inside("contrast")
    }
  }
}

extension JSONFields {
  /// A number within a limit, or null.
  fileprivate func limited(_ key: String, _ limit: Limit<Double>) throws(InvalidInput) -> Double? {
    let number = try optionalNumber(key)
    try limit.require(key, number)
    return number
  }

  fileprivate func gradient(_ key: String) throws(InvalidInput) -> NetworkAudit.Gradient {
    let fields = try object(key, of: "a gradient", only: ["targetNorm", "relativeBias", "cosine", "unseen"])
    do throws(InvalidInput) {
      return NetworkAudit.Gradient(
        targetNorm: try fields.number("targetNorm", .notNegative),
        relativeBias: try fields.limited("relativeBias", .notNegative),
        cosine: try fields.limited("cosine", .number(-1...1)), unseen: try fields.limited("unseen", .number(0...1)))
    } catch {
      throw error.inside(key)
    }
  }
}

// MARK: - Means

extension NetworkAudit {
  /// The means of several audits' figures, layer by layer, each over those that have it; nil of none, and of networks whose layers
  /// differ.
  init?(meanOf audits: [NetworkAudit]) {
    guard let first = audits.first, audits.allSatisfy({ $0.layers.map(\.name) == first.layers.map(\.name) }) else {
      return nil
    }
    layers = first.layers.indices.map { k in Layer(meanOf: audits.map { $0.layers[k] }) }
  }
}

extension NetworkAudit.Layer {
  fileprivate init(meanOf layers: [NetworkAudit.Layer]) {
    func rounded(_ figure: KeyPath<NetworkAudit.Layer, Int>) -> Int {
      Int((mean(layers.map { Double($0[keyPath: figure]) }) ?? 0).rounded())
    }
    let contrasts = layers.compactMap(\.contrast)
    self.init(
      name: layers[0].name, experts: layers[0].experts, tokens: rounded(\.tokens),
      logits: NetworkAudit.Gradient(meanOf: layers.map(\.logits)),
      weight: NetworkAudit.Gradient(meanOf: layers.map(\.weight)), largestLoad: mean(layers.map(\.largestLoad)),
      unused: rounded(\.unused), turnedAway: rounded(\.turnedAway),
      contrast: contrasts.isEmpty ? nil : NetworkAudit.Contrast(meanOf: contrasts))
  }
}

extension NetworkAudit.Gradient {
  fileprivate init(meanOf gradients: [NetworkAudit.Gradient]) {
    self.init(
      targetNorm: mean(gradients.map(\.targetNorm)) ?? 0, relativeBias: mean(gradients.map(\.relativeBias)),
      cosine: mean(gradients.map(\.cosine)), unseen: mean(gradients.map(\.unseen)))
  }
}

extension NetworkAudit.Contrast {
  fileprivate init(meanOf contrasts: [NetworkAudit.Contrast]) {
    self.init(
      tokens: contrasts[0].tokens, targetNorm: mean(contrasts.map(\.targetNorm)) ?? 0,
      relativeBias: mean(contrasts.map(\.relativeBias)), relativeDeviation: mean(contrasts.map(\.relativeDeviation)),
      cosine: mean(contrasts.map(\.cosine)), denseRelativeBias: mean(contrasts.map(\.denseRelativeBias)),
      denseCosine: mean(contrasts.map(\.denseCosine)))
  }
}

/// The mean of the numbers that there are.
private func mean(_ numbers: [Double?]) -> Double? {
  let numbers = numbers.compactMap { $0 }
  return numbers.isEmpty ? nil : numbers.reduce(0, +) / Double(numbers.count)
}
