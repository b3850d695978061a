extension String {
  /// At most `count` characters, the last one an ellipsis if something was cut off.
  package func clipped(to count: Int) -> String { self.count <= count ? self : prefix(count - 1) + "…" }
}
