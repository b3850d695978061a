import RoutingCore

/// What a foreign implementation says that it drew.
public struct ForeignDraw: Sendable, Equatable, Hashable {
  /// The experts drawn, in order of drawing.
  public var choice: [Int]
  /// The coins, or nil if it does not tell.
  public var coins: [Int]?

  /// Describes a draw.
  public init(choice: [Int], coins: [Int]? = nil) {
    self.choice = choice
    self.coins = coins
  }
}

/// An outcome of a foreign implementation that was driven through all of them.
public struct ForeignOutcome: Sendable, Equatable {
  /// What it drew, where it tells.
  public var draw: ForeignDraw?
  /// With which probability it says that this happens.
  public var probability: Double
  /// What it scales the chosen experts' outputs with, where it tells.
  public var multiplier: [Double]?
  /// Its gradient, `[experts]`.
  public var gradient: [Double]

  /// Describes an outcome.
  public init(draw: ForeignDraw?, probability: Double, multiplier: [Double]? = nil, gradient: [Double]) {
    self.draw = draw
    self.probability = probability
    self.multiplier = multiplier
    self.gradient = gradient
  }
}

/// The sample or outcome that refutes a claim by itself, or makes the refutation plain.
public struct ForeignCounterExample: Sendable, Equatable {
  /// What is wrong with it.
  public enum Kind: String, Sendable, CaseIterable {
    /// A coordinate outside of what the claim's samples lie between.
    case support
    /// A draw that the claim does not have, or that has probability 0.
    case unknownOutcome = "unknown-outcome"
    /// Another gradient than the claim's, given the draw.
    case gradient
    /// Another probability than the claim's, or probabilities that do not sum to 1.
    case probability
    /// Another multiplier than the claim's, given the draw.
    case multiplier
    /// Another mean than the claim's.
    case mean
    /// Another covariance than the claim's.
    case covariance
  }

  /// What is wrong with it.
  public var kind: Kind
  /// The sample's or outcome's number, from 0; nil where it is about all of them.
  public var row: Int?
  /// What was drawn, where that is known.
  public var draw: ForeignDraw?
  /// Which coordinate deviates most, where one does; of a covariance its row.
  public var coordinate: Int?
  /// What was found.
  public var found: [Double]
  /// What the claim says; of bounds the lower and the upper.
  public var expected: [Double]

  /// Describes a counter-example.
  public init(
    _ kind: Kind, row: Int? = nil, draw: ForeignDraw? = nil, coordinate: Int? = nil, found: [Double],
    expected: [Double]
  ) {
    self.kind = kind
    self.row = row
    self.draw = draw
    self.coordinate = coordinate
    self.found = found
    self.expected = expected
  }
}
