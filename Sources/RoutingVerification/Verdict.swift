/// What a verification concludes; never a bare "pass".
///
/// The raw values are the words that are printed and written.
public enum Verdict: String, Sendable, CaseIterable {
  /// Equal, to a stated tolerance, by enumeration or integration.
  case proved
  /// No bias of the stated size would have gone unseen, up to the stated false-pass rate.
  case consistent
  /// Wrong, with the counter-example or at the stated false-fail rate.
  case refuted
  /// The budget was spent before either error rate was met.
  case undecided

  /// The verdict on several independent checks: the gravest of theirs. Refuted before undecided, undecided before
  /// consistent, and proved only if all of them are; no checks at all leave it undecided.
  package init(combining verdicts: some Sequence<Verdict>) {
    let gravest: [Verdict] = [.refuted, .undecided, .consistent, .proved]
    let found = Set(verdicts)
    self = gravest.first(where: found.contains) ?? .undecided
  }
}
