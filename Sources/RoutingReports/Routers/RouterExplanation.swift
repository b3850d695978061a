import FileFormats
import RouterSpecifications
import RoutingCore

/// A specification in plain words: its steps with their formulas and numbers, and the mistakes that would show.
package struct RouterExplanation: Sendable {
  /// What is explained.
  package let specification: RouterSpecification
  private let entry: RouterCatalogue.Entry?
  private let vectors: GoldenVectors?

  /// The calls on which mistakes are looked for.
  private static let pool = 96
  /// Of more experts some are left out where mistakes are looked for: it takes as long as there are experts.
  private static let mostExperts = 256

  /// The explanation of a specification.
  ///
  /// - Parameters:
  ///   - specification: what to explain.
  ///   - entry: its entry in the catalogue, whose source and notes are told, too.
  package init(_ specification: RouterSpecification, entry: RouterCatalogue.Entry? = nil) {
    self.specification = specification
    self.entry = entry
    let fewer = specification.experts > Self.mostExperts ? try? specification.with(experts: Self.mostExperts) : nil
    vectors = try? GoldenVectors(of: fewer ?? specification, pool: Self.pool)
  }

  /// Lines as wide as tables, with a line feed at the end.
  package func text(style: TextStyle) -> String {
    var lines = [style.strong("\(specification.name)  \(specification.experts) experts")]
    for (k, step) in steps.enumerated() { lines += paragraph("\(k + 1). \(step)", style) }
    if let vectors {
      if !(vectors.told + vectors.missed).isEmpty {
        lines += ["", "Mistakes that change the function (a router …):"]
        for mistake in vectors.told + vectors.missed {
          lines += paragraph("\(mistake.rawValue): \(mistake.words)", indentation: 2, style)
        }
      }
      if !vectors.same.isEmpty {
        let names = vectors.same.map(\.rawValue).joined(separator: ", ")
        lines += [""] + paragraph("Same function on \(vectors.pool) calls: \(names).", indentation: 2, style)
      }
    }
    if let entry {
      lines.append("")
      if !entry.models.isEmpty {
        lines += paragraph("Models: \(entry.models.joined(separator: ", ")).", indentation: 2, style)
      }
      lines += paragraph("Source: \(entry.source).", indentation: 2, style)
      if !entry.notes.isEmpty { lines += paragraph(entry.notes, indentation: 2, style) }
    }
    return lines.map { $0 + "\n" }.joined()
  }

  /// Lines, those after the first set in by two more.
  private func paragraph(_ text: String, indentation: Int = 0, _ style: TextStyle) -> [String] {
    TextTable.wrap(style.characters(text.onOneLine), width: TextTable.width - indentation).map {
      String(repeating: " ", count: indentation) + $0
    }
  }

  /// The steps in the order in which they happen.
  var steps: [String] {
    [logits, score, key] + [restriction, selection, gate, application, capacity].compactMap(\.self)
      + specification.auxiliaryLosses.map(words) + [biasUpdate, replay].compactMap(\.self)
  }

  private func number(_ x: Double) -> String { JSONWriter.number(x) }
  private var n: Int { specification.experts }
}

// MARK: - Steps

extension RouterExplanation {
  private var logits: String {
    let given = "Each token has a logit θ_i for each of N = \(n) experts"
    guard let noise = specification.noise else { return "\(given); z = θ." }
    let width = number(noise.width)
    let formula =
      switch noise.kind {
      case .uniform: "z_i = θ_i u_i, u_i uniform within 1 ± \(width)"
      case .uniformInput: "z_i = θ_i u_i, u_i uniform within 1 ± \(width), on the router's input"
      case .normal: "z_i = θ_i + \(width) n_i with normal draws n"
      case .learnedNormal: "z_i = θ_i + softplus(ν_i) n_i with normal draws n and ν from a second projection"
      case .gumbel: "z_i = θ_i + \(width) g_i with Gumbel draws g_i = −log(−log d_i)"
      }
    let reach = noise.reachesGates ? "" : "; gates are made of θ, without noise"
    return "\(given). In training \(formula), in evaluation z = θ\(reach)."
  }

  private var score: String {
    let tau = specification.score.temperature
    let z = tau == 1 ? "z" : "(z/\(number(tau)))"
    let zi = tau == 1 ? "z_i" : "z_i/\(number(tau))"
    let formula =
      switch specification.score.function {
      case .softmax: "s = softmax\(tau == 1 ? "(z)" : z), over all experts"
      case .sigmoid: "s_i = 1/(1 + e^(−\(zi)))"
      case .softplusSqrt: "s_i = √log(1 + e^(\(zi)))"
      case .relu: "s_i = max(\(zi), 0)"
      case .exp: "s_i = e^(\(zi))"
      case .identity: "s_i = \(zi)"
      }
    return "Score: \(formula)."
  }

  private var key: String {
    let base = specification.key == .score ? "s_i" : "z_i"
    guard specification.hasSelectionBias else { return "Key, by which experts are chosen: \(base)." }
    return
      "Key, by which experts are chosen: \(base) + b_i. The bias b is given with each call and never reaches the gate."
  }

  private var restriction: String? {
    var parts: [String] = []
    if let groups = specification.groups {
      let worth = groups.score == .max ? "its largest key" : "the sum of its two largest keys"
      parts.append(
        "The experts stand in \(groups.count) groups of \(n / groups.count) neighbours. A group is worth \(worth); the "
          + "keys outside of the best \(groups.kept) are −∞ (not 0).")
    }
    if let threshold = specification.mask.threshold {
      let rule =
        specification.mask.rule == "paper"
        ? "z_max − z_i ≤ \(number(threshold)) (|z_max| + |z_i|)"
        : "(z_max − z_i) / max(|z_i|, z_max) ≤ \(number(2 * threshold))"
      parts.append("SparseMixer's mask keeps the experts with \(rule); the softmax is over those.")
    }
    return parts.isEmpty ? nil : parts.joined(separator: " ")
  }

  private var selection: String? {
    let ties = "of two equal ones that of the lower index"
    let chosen =
      switch specification.selection {
      case .topK(let k): "the \(k) largest keys, \(ties)"
      case .topP(let mass, let k): "the fewest of the largest scores that sum to at least \(number(mass)), at most \(k)"
      case .threshold(let above, let k): "all experts with a key above \(number(above)), at most \(k)"
      case .expertChoice(let c): "each expert takes the \(c) tokens of its largest keys"
      case .sampled(let k):
        "in training \(k) experts are drawn without replacement, in evaluation those of the \(k) largest keys"
      case .forced(let k): "the call says the \(k) experts of each token"
      case .unstated(let k, let joint, _):
        "at most \(k) experts by a rule that is not stated\(joint ? ", for which tokens compete" : "")"
      }
    let always =
      specification.alwaysChosen == 0
      ? "" : ", and besides the last \(specification.alwaysChosen) experts, whatever their keys"
    return "Chosen experts A: \(chosen)\(always)."
  }

  private var gate: String? {
    guard let gate = specification.gate else { return "Gate: not stated." }
    let h =
      switch gate.source {
      case .score: "s_i"
      case .softmaxOverChosen: "softmax of z over A"
      case .sigmoidOfLogit: "1/(1 + e^(−z_i))"
      case .sequential: "the softmax over the experts that mask and earlier draws have left"
      case .subsetMarginal: "the probability that i is in a random subset with P(S) ∝ Π_S s_j/(1 − s_j)"
      case .one: "1"
      }
    var text = "Gate of a chosen expert: h_i = \(h)"
    if gate.isNormalized {
      let epsilon = gate.epsilon == 0 ? "" : " + \(number(gate.epsilon))"
      let sum = "Σ_\(gate.sumsOverKept ? "kept" : "A") h_j\(epsilon)"
      text += ", divided by \(gate.floor == 0 ? "(\(sum))" : "max(\(number(gate.floor)), \(sum))")"
    }
    if gate.scale != 1 { text += ", times \(number(gate.scale))" }
    if gate.hasExpertScales { text += ", times the expert's own scale, given with the call" }
    text += "."
    if gate.outputScales != [1] {
      text +=
        " In the forward pass a coin multiplies it by one of \(gate.outputScales.map(number).joined(separator: ", "))."
    }
    if gate.gradientFactor != 1 {
      text += " In the backward pass its derivative is times \(number(gate.gradientFactor))."
    }
    return text
  }

  private var application: String? {
    var text =
      specification.applied == .output
      ? "Output: y = Σ_A m_i f_i(x) with multipliers m."
      : "Output: y = Σ_A f_i(m_i x): the gate multiplies the expert's input."
    if let nulls = specification.nullExperts {
      text += " The last \(nulls.count) experts \(nulls.kind == .identity ? "return their input" : "return 0")."
    }
    return text
  }

  private var capacity: String? {
    guard let capacity = specification.capacity else { return nil }
    let order =
      switch capacity.priority {
      case .position: "tokens by position"
      case .rank: "all first choices by position, then all second ones"
      case .score: "the largest gates first"
      }
    return
      "Capacity: an expert takes \(capacity.limit) tokens of a batch, \(order); nobody is turned away while there is room."
  }

  private func words(_ loss: RouterSpecification.AuxiliaryLoss) -> String {
    let alpha = number(loss.coefficient)
    let p =
      switch loss.probabilities {
      case .softmax: "softmax(z)"
      case .normalizedScore: "s/Σ s"
      case .gate: "the multipliers"
      }
    let counting =
      switch loss.counting {
      case .all: "the choices of i, divided by the number of tokens"
      case .mean: "each token's choices of i divided by their number, on average over tokens"
      case .first: "the share of tokens whose first choice is i"
      }
    let formula =
      switch loss.kind {
      case .balance: "\(alpha) N Σ_i f_i P_i, f_i \(counting), without gradient; P the mean of \(p)"
      case .z: "\(alpha) times the mean of (log Σ_i e^(z_i))²"
      case .cvSquared: "\(alpha) Var/mean² over experts of Σ_t p_ti, p = \(p)"
      }
    let scope =
      switch loss.scope {
      case .batch: ""
      case .sequence: "; for each sequence, then their mean"
      case .global: "; counts and means are of a larger batch, whose parts sum to the whole"
      }
    return "Auxiliary loss: \(formula)\(scope)."
  }

  private var biasUpdate: String? {
    guard let update = specification.biasUpdate else { return nil }
    let step = update.rule == .sign ? "sign(c̄ − c_i)" : "(c̄ − c_i)"
    return "After a step: b_i + \(number(update.rate)) \(step), c_i the tokens that chose i, c̄ their mean over experts."
  }

  private var replay: String? {
    specification.replays ? "Replay: a call may force the choice; gates and gradient are then of its own logits." : nil
  }
}

// MARK: - The list

extension RouterCatalogue {
  /// The catalogue for people.
  package func text(style: TextStyle) -> String {
    var table = TextTable(columns: [
      .init(title: "router", isText: true), .init(title: "experts"), .init(title: "chosen", isText: true),
      .init(title: "score", isText: true), .init(title: "gate", isText: true),
    ])
    for entry in entries {
      let specification = entry.specification
      let restriction = specification.groups.map { ", \($0.kept)/\($0.count) groups" } ?? ""
      let always = specification.alwaysChosen == 0 ? "" : " + \(specification.alwaysChosen)"
      table.rows.append(
        .init(cells: [
          entry.name, "\(specification.experts)", specification.choiceInShort + always + restriction,
          specification.score.function.rawValue + (specification.hasSelectionBias ? "+b" : ""),
          specification.gateInShort,
        ]))
    }
    var notes = [
      "+b: a selection bias; /Σ: normalised over the chosen; ·own: a scale of each expert's own; in: the gate multiplies the "
        + "expert's input.",
      "In full: routegrad routers explain NAME.",
    ]
    if !notSaid.isEmpty { notes.append("Not said by the language: \(notSaid.map(\.name).joined(separator: ", ")).") }
    return TextSection(title: "Routers", facts: "\(entries.count) specifications", table: table, notes: notes)
      .text(style: style)
  }

  /// The catalogue as JSON, in the format `routegrad.routers/1`.
  package var json: String {
    JSONWriter.indented([
      "schema": "routegrad.routers/1", "version": .string(routeGradVersion),
      "routers": .array(
        entries.map { entry in
          [
            "name": .string(entry.name), "models": .array(entry.models.map { .string($0) }),
            "source": .string(entry.source), "notes": .string(entry.notes), "specification": entry.specification.json,
          ]
        }),
      "notSaid": .array(notSaid.map { ["name": .string($0.name), "reason": .string($0.reason)] }),
    ])
  }
}

extension RouterSpecification {
  /// The choice in a few signs: `top-8`.
  var choiceInShort: String {
    switch selection {
    case .topK(let k): "top-\(k)"
    case .topP(let mass, let k): "top-p \(JSONWriter.number(mass)), ≤ \(k)"
    case .threshold(let above, let k): "> \(JSONWriter.number(above)), ≤ \(k)"
    case .expertChoice(let c): "\(c) tokens each"
    case .sampled(let k): "sampled \(k)"
    case .forced(let k): "forced \(k)"
    case .unstated(let k, _, _): "unstated \(k)"
    }
  }

  /// The gate in a few signs: `score/Σ·2.5`.
  var gateInShort: String {
    guard let gate else { return Figures.undefined }
    let source =
      switch gate.source {
      case .score: "score"
      case .softmaxOverChosen: "softmax(A)"
      case .sigmoidOfLogit: "sigmoid"
      case .sequential: "sequential"
      case .subsetMarginal: "marginal"
      case .one: "1"
      }
    return source + (gate.isNormalized ? "/Σ" : "") + (gate.scale == 1 ? "" : "·\(JSONWriter.number(gate.scale))")
      + (gate.hasExpertScales ? "·own" : "") + (applied == .input ? " in" : "")
  }
}
