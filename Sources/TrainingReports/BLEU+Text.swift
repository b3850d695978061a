import RouterTraining
import RoutingCore
import RoutingReports

extension BLEU {
  /// What sacrebleu prints: `33.90 67.0/41.2/27.1/18.1 (BP = 0.981 ratio = 0.981 hyp_len = 100 ref_len = 102)`.
  package var text: String {
    let precisions = precisions.map { Figures.fixed($0, decimals: 1) }.joined(separator: "/")
    let ratio = referenceLength > 0 ? Double(hypothesisLength) / Double(referenceLength) : 0
    return "\(Figures.fixed(score, decimals: 2)) \(precisions) (BP = \(Figures.fixed(brevityPenalty, decimals: 3)) "
      + "ratio = \(Figures.fixed(ratio, decimals: 3)) hyp_len = \(hypothesisLength) ref_len = \(referenceLength))"
  }
}
