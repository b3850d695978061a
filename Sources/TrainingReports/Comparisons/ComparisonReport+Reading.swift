import RouterTraining
import RoutingReports

extension ComparisonReport {
  /// What the figures come to, by rule: a task separates estimators where a router that gets nothing of the loss (`none`) is slower; a router beats or loses where the speed-up's interval leaves 1 out; a mask explains a gain
  /// where masked switch has one as well and the router none over it, and may explain it where only the latter is so.
  package var reading: [String] {
    let control = control
    var lines = comparison.entries.filter { $0.label != comparison.baseline && $0.label != control?.label }.map(
      sentence)
    if lines.isEmpty, control == nil { lines = ["There is nothing to hold against \(comparison.baseline)."] }
    if let mask = headroomSentence { lines.append(mask) }
    return [separationSentence(control)].compactMap { $0 } + lines
  }

  /// The router that gets nothing of the loss, as it is held against the baseline.
  private var control: Comparison.Entry? {
    comparison.entries.first { $0.router.getsNothing && $0.label != comparison.baseline }
  }

  /// Whether the task tells estimators apart at all; of a network it is always said.
  private func separationSentence(_ control: Comparison.Entry?) -> String? {
    guard let control else {
      return comparison.settings is MixtureSettings
        ? nil
        : "Whether this task separates estimators is not known: that takes the control 'none' against another baseline."
    }
    let base = comparison.baseline
    let diverged = control.diverged > 0 ? " (\(control.diverged) of \(control.runs.count) runs diverged)" : ""
    guard let speedUp = control.speedUp else {
      return
        "Whether this task separates estimators is not known: \(control.label) has no seed in common with \(base) that both "
        + "finished\(diverged)."
    }
    let figures = "\(Self.times(speedUp))\(diverged)"
    switch speedUp.verdict {
    case nil: return "Whether this task separates estimators one seed does not show: \(control.label) \(figures)."
    case .slower:
      return
        "This task separates estimators: \(control.label), whose router gets nothing of the loss, is slower than \(base), "
        + "\(figures)."
    case .open:
      return
        "This task cannot separate estimators: \(control.label), whose router gets nothing of the loss, and \(base) are not "
        + "told apart, \(figures)."
    case .faster:
      return
        "This task cannot separate estimators: \(control.label), whose router gets nothing of the loss, beats \(base), "
        + "\(figures)."
    }
  }

  private func sentence(_ entry: Comparison.Entry) -> String {
    let base = comparison.baseline
    let diverged = entry.diverged > 0 ? " (\(entry.diverged) of \(entry.runs.count) runs diverged)" : ""
    guard let speedUp = entry.speedUp else {
      return "\(entry.label) has no seed in common with \(base) that both finished\(diverged)."
    }
    let figures = "\(Self.times(speedUp))\(diverged)"
    guard let verdict = speedUp.verdict else { return "\(entry.label): one seed shows nothing, \(figures)." }
    switch verdict {
    case .faster: return "\(entry.label) beats \(base) here, \(figures)\(explanation(entry))."
    case .slower: return "\(entry.label) is slower than \(base) here, \(figures)\(belowControl(entry))."
    case .open: return "\(entry.label) and \(base) are not told apart, \(figures)."
    }
  }

  /// Whether a router is slower than one that gets nothing of the loss, too.
  private func belowControl(_ entry: Comparison.Entry) -> String {
    guard let control, let over = comparison.speedUp(of: entry.label, over: control.label), over.verdict == .slower
    else { return "" }
    return ", and slower than \(control.label), \(Self.times(over))"
  }

  /// Whether the mask explains a SparseMixer's gain.
  private func explanation(_ entry: Comparison.Entry) -> String {
    guard entry.router.id.hasPrefix("sparsemixer"),
      let masked = comparison.entries.first(where: { $0.router.id == "masked-switch" })
    else { return "" }
    guard let over = comparison.speedUp(of: entry.label, over: masked.label), let verdict = over.verdict else {
      return ""
    }
    let maskIsFaster = masked.speedUp?.verdict == .faster
    if verdict != .faster {
      return "; masked switch \(maskIsFaster ? "explains it" : "may explain it, over it \(Self.times(over))")"
    }
    return "; masked switch \(maskIsFaster ? "explains a part" : "does not explain it"), over it \(Self.times(over))"
  }

  /// What the exact gradient says of the headroom.
  private var headroomSentence: String? {
    let exact = comparison.entries.filter { $0.router.id == "exact" && $0.speedUp?.verdict == .faster }
    guard let best = exact.max(by: { ($0.speedUp?.value ?? 0) < ($1.speedUp?.value ?? 0) }), let speedUp = best.speedUp
    else { return nil }
    return "The exact router gradient has headroom: \(Self.times(speedUp)) (\(best.label))."
  }

  /// `1.43× [1.28, 1.58]`.
  private static func times(_ mean: GeometricMean) -> String {
    let words = words(mean)
    guard let space = words.firstIndex(of: " ") else { return words + "×" }
    return words[..<space] + "×" + words[space...]
  }
}

/// What an interval of a speed-up says.
private enum SpeedVerdict {
  case faster
  case slower
  case open
}

extension GeometricMean {
  /// Nil without an interval.
  fileprivate var verdict: SpeedVerdict? {
    interval.map { $0.lowerBound > 1 ? .faster : $0.upperBound < 1 ? .slower : .open }
  }
}
