import RoutingCore

/// What spans the v that an expert is sent for a token where the loss's gradient is affine, `G'(z) = s z + c`: `ω ⊙ c`, and the
/// `ω² ⊙ f_j` of the experts j that take part in the events, at most N + 1 vectors.
///
/// An event in which the expert takes part with the factor m, and the experts j with m_j, sends it
/// `v = m ω ⊙ c + s Σ_j m m_j ω² ⊙ f_j`.
struct SentSpan: Sendable {
  /// c.
  let constant: [Double]
  /// s.
  private let slope: Double
  /// The row of `ω ⊙ c`.
  private let constantRow: Int
  /// The row of each expert's `ω² ⊙ f_j`; −1 if it has none.
  private var rows: [Int]

  /// Begins with the constant.
  ///
  /// - Precondition: the loss's gradient is affine.
  init(_ loss: TokenLoss, experts: Int, row: Int) {
    guard let affine = loss.affineGradient else { preconditionFailure("expected a loss with an affine gradient") }
    (slope, constant) = affine
    constantRow = row
    rows = Array(repeating: -1, count: experts)
  }

  /// All experts' rows, which follow on the constant's.
  init(whole loss: TokenLoss, experts: Int, row: Int) {
    self.init(loss, experts: experts, row: row)
    for i in 0..<experts { rows[i] = row + 1 + i }
  }

  /// Whether an expert that takes part still has no row and must have one.
  func needs(_ expert: Int) -> Bool { slope != 0 && rows[expert] < 0 }

  /// Gives an expert its row.
  mutating func place(_ expert: Int, row: Int) { rows[expert] = row }

  /// Adds what a slot is sent to the combination that is being put together.
  ///
  /// - Parameters:
  ///   - together: all slots of its event.
  ///   - first: the place of the span's first row among those combined.
  func add(
    _ slot: ForwardEvents.Slot, with together: some Sequence<ForwardEvents.Slot>, from first: Int = 0,
    to combinations: inout Combinations
  ) {
    combinations.add(row: first + constantRow, factor: slot.backward)
    if slope != 0 {
      for other in together where other.forward != 0 {
        combinations.add(row: first + rows[other.expert], factor: slope * slot.backward * other.forward)
      }
    }
  }
}
