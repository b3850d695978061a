import FileFormats
import RouterSpecifications
import RoutingCore

// The first two lines of the exchange; calls and answers are in RouterCall+JSON.swift and RouterAnswer+JSON.swift.

extension RouterExchange.Greeting {
  init(_ value: JSONValue) throws(InvalidInput) {
    let fields = try JSONFields(value, of: "a greeting")
    let version = try fields.word("schema", among: RouterExchange.schemas)
    let common = ["schema", "experts", "topK", "seed"]
    try fields.requireOnly(version == RouterExchange.schemas[0] ? common : common + ["specification"])
    self.init(
      experts: try fields.integer("experts"), topK: try fields.givenInteger("topK"))
    guard let seed = UInt64(try fields.string("seed")) else {
      throw InvalidInput("seed", "expected a whole number from 0 to 2⁶⁴ − 1 in a string")
    }
    self.seed = seed
    specification = try fields.given("specification") { (fields, key) throws(InvalidInput) in
      try fields.part(key, "a router specification", RouterSpecification.init(_:))
    }
  }

  /// The seed is a string, because many readers take numbers for Float64. Version 1 is spoken where it says all, so that its
  /// routers need not know of another.
  var json: JSONValue {
    var members: [JSONValue.Member] = [
      .init(key: "schema", value: .string(RouterExchange.schemas[specification == nil ? 0 : 1])),
      .init(key: "experts", value: JSONValue(experts)), .init(key: "topK", value: JSONValue(topK)),
      .init(key: "seed", value: .string("\(seed)")),
    ]
    if let specification { members.append(.init(key: "specification", value: specification.json)) }
    return .object(members)
  }
}

extension RouterProfile {
  /// A profile of either version.
  ///
  /// - Parameters:
  ///   - value: what the router said.
  ///   - asked: the specification that it was asked to be, to which it is held whatever it says of itself.
  init(_ value: JSONValue, asked: RouterSpecification? = nil) throws(InvalidInput) {
    let fields = try JSONFields(value, of: "a profile")
    if fields.has("schema") || fields.has("specification") {
      _ = try fields.word("schema", among: [RouterExchange.schemas[1]])
      try fields.requireOnly(["schema", "specification", "uniforms", "normals", "takes", "precision"])
      let own = try fields.given("specification") { (fields, key) throws(InvalidInput) in
        try fields.part(key, "a router specification", RouterSpecification.init(_:))
      }
      guard let specification = asked ?? own else {
        throw InvalidInput("specification", "expected a router specification, the field is missing")
      }
      self.init(
        specification, uniforms: try fields.givenInteger("uniforms"),
        normals: try fields.givenInteger("normals"), takes: try fields.word("takes", else: .logits),
        precision: try fields.word("precision", else: .float64))
    } else {
      try self.init(version1: fields)
      if let asked { specification = asked }
    }
    try validate()
  }

  /// A profile in the words of `routegrad.router/1`, from which a specification follows.
  private init(version1 fields: JSONFields) throws(InvalidInput) {
    try fields.requireOnly([
      "name", "experts", "topK", "uniforms", "takes", "gates", "mask", "outputScales", "gradientFactor", "jitter",
      "auxiliaryLoss", "capacity", "routesJointly", "mayChooseFewer", "precision",
    ])
    let name = try fields.string("name").clipped(to: 60)
    let experts = try fields.integer("experts")
    try RouterSpecification.expertsLimit.require("experts", experts)
    let topK = try fields.integer("topK")
    try Limit.whole(1...experts).require("topK", topK)
    let gates: Gates = try fields.word("gates", else: .other)
    guard gates != .sequential || topK <= 2 else {
      throw InvalidInput("topK", "expected at most 2 with sequential gates, got \(topK)")
    }
    let outputScales = try fields.isGiven("outputScales") ? try fields.numbers("outputScales") : [1]
    guard !outputScales.isEmpty, outputScales.allSatisfy({ $0.isFinite && $0 > 0 }) else {
      throw InvalidInput("outputScales", "expected one or more finite numbers above 0")
    }
    let capacity = try fields.givenInteger("capacity")
    try RouterSpecification.Capacity.tokens.require("capacity", capacity)
    let gradientFactor = try fields.number("gradientFactor", else: 1)
    try Limit.positive.require("gradientFactor", gradientFactor)
    self.init(
      name: name, experts: experts, topK: topK, uniforms: try fields.givenInteger("uniforms") ?? 0,
      takes: try fields.word("takes", else: .logits), gates: gates,
      mask: try fields.given("mask") { (fields, key) throws(InvalidInput) in
        try fields.part(key, "a mask (an object)", Mask.init(_:))
      } ?? .none,
      outputScales: outputScales, gradientFactor: gradientFactor,
      jitter: try fields.given("jitter") { (fields, key) throws(InvalidInput) in
        try fields.part(key, "jitter (an object)", RouterSpecification.Noise.init(jitter:))
      },
      auxiliaryLoss: try fields.given("auxiliaryLoss") { (fields, key) throws(InvalidInput) in
        try fields.part(key, "a loss (an object)", RouterSpecification.AuxiliaryLoss.init(balance:))
      },
      capacity: capacity,
      routesJointly: try fields.flag("routesJointly"), mayChooseFewer: try fields.flag("mayChooseFewer"),
      precision: try fields.word("precision", else: .float64))
  }

  /// The profile, in version 2.
  var json: JSONValue {
    [
      "schema": .string(RouterExchange.schemas[1]), "specification": specification.json,
      "uniforms": JSONValue(uniforms), "normals": JSONValue(normals), "takes": .string(takes.rawValue),
      "precision": .string(precision.rawValue),
    ]
  }
}

extension RouterSpecification.Noise {
  fileprivate init(jitter value: JSONValue) throws(InvalidInput) {
    let fields = try JSONFields(value, of: "jitter", only: ["on", "width"])
    let width = try fields.number("width")
    self.init(try fields.word("on", among: ["logits", "input"]) == "input" ? .uniformInput : .uniform, width: width)
  }
}

extension RouterSpecification.AuxiliaryLoss {
  fileprivate init(balance value: JSONValue) throws(InvalidInput) {
    let fields = try JSONFields(value, of: "an auxiliary loss", only: ["coefficient", "counting"])
    self.init(coefficient: try fields.number("coefficient", else: 1), counting: try fields.word("counting"))
  }
}

extension JSONFields {
  /// A whole number; nil if it is left out.
  fileprivate func givenInteger(_ key: String) throws(InvalidInput) -> Int? {
    try isGiven(key) ? try integer(key) : nil
  }
}
