import CStandardLibrary
import RoutingCore

/// A chart of a page: points or curves over two axes, as SVG that says every mark's numbers.
///
/// *Edge cases*: what is beyond ±1e300 or not finite, and what is not above 0 on a logarithmic axis, has no mark; a note says how many.
package struct Chart {
  /// An axis.
  package struct Axis {
    package var title: String
    package var isLogarithmic: Bool

    package init(_ title: String, isLogarithmic: Bool = false) {
      self.title = title
      self.isLogarithmic = isLogarithmic
    }

    /// Where a value lies; nil where it has no place.
    func place(_ x: Double) -> Double? {
      guard x.magnitude <= 1e300, !isLogarithmic || x > 0 else { return nil }
      return isLogarithmic ? log10(x) : x
    }
  }

  /// A mark.
  package struct Point {
    package var x: Double
    package var y: Double
    /// What it is called.
    package var name: String

    package init(x: Double, y: Double, name: String) {
      self.x = x
      self.y = y
      self.name = name
    }
  }

  /// Points of one colour.
  package struct Series {
    package var name: String
    package var points: [Point]
    /// Whether they are joined.
    package var isCurve: Bool
    /// The lower and upper end at each point of a curve; empty for none.
    package var band: [(low: Double, high: Double)]
    /// Which colour and shape it has; nil for its place among the series.
    package var look: Int?

    package init(
      name: String, points: [Point], isCurve: Bool = false, band: [(low: Double, high: Double)] = [], look: Int? = nil
    ) {
      self.name = name
      self.points = points
      self.isCurve = isCurve
      self.band = band
      self.look = look
    }
  }

  package var title: String
  package var x: Axis
  package var y: Axis
  package var series: [Series]

  package init(title: String, x: Axis, y: Axis, series: [Series]) {
    self.title = title
    self.x = x
    self.y = y
    self.series = series
  }

  /// Whether no point has a place.
  var isEmpty: Bool { !series.contains { $0.points.contains { place($0) != nil } } }

  private func place(_ point: Point) -> (x: Double, y: Double)? {
    guard let x = x.place(point.x), let y = y.place(point.y) else { return nil }
    return (x, y)
  }
}

// MARK: - SVG

extension Chart {
  private static let size = (width: 440.0, height: 300.0)
  private static let margin = (left: 58.0, right: 12.0, top: 10.0, bottom: 44.0)

  /// What all marks and bands lie within.
  var ticks: (across: Ticks, up: Ticks) {
    let places = series.flatMap { series in series.points.compactMap(place) }
    let ends = series.flatMap { $0.band.flatMap { [$0.low, $0.high] } }.compactMap(y.place)
    return (
      Ticks(places.map(\.x), isLogarithmic: x.isLogarithmic),
      Ticks(places.map(\.y) + ends, isLogarithmic: y.isLogarithmic)
    )
  }

  /// A figure element.
  var html: String {
    let (across, up) = ticks
    let frame = Frame(across: across.range, up: up.range)
    var marks = grid(frame, across, up)
    var missing = 0
    for (place, series) in series.enumerated() {
      let k = series.look ?? place
      if series.isCurve { marks += curve(series, colour: k, frame) }
      for point in series.points {
        guard let place = self.place(point) else {
          missing += 1
          continue
        }
        let told =
          "\(point.name): \(x.title) \(Figures.significant(point.x)), \(y.title) \(Figures.significant(point.y))"
        // Curves have many points: they are told, but not stops of the keyboard.
        marks += Self.mark(
          k, at: frame.x(place.x), frame.y(place.y), size: series.isCurve ? 2 : 4.5,
          isStop: !series.isCurve, told: told)
      }
    }
    let (width, height) = Self.size
    let legend = series.enumerated().map { place, series in
      "<li><svg viewBox=\"0 0 12 12\" aria-hidden=\"true\">\(Self.shape(series.look ?? place, 6, 6, 5))</svg>\(series.name.html)</li>"
    }
    let left = missing == 0 ? "" : "<p class=\"note\">\(missing) without a place on these axes.</p>\n"
    return """
      <figure>
      <figcaption>\(title.html)</figcaption>
      <svg viewBox="0 0 \(Int(width)) \(Int(height))" role="group" aria-label="\(title.html)">
      \(marks)</svg>
      <ul class="legend">\(legend.joined())</ul>
      \(left)<p class="told" aria-live="polite"></p>
      </figure>

      """
  }

  /// Where values lie within the drawing.
  private struct Frame {
    let across, up: ClosedRange<Double>

    func x(_ value: Double) -> Double {
      let share = (value - across.lowerBound) / (across.upperBound - across.lowerBound)
      return Chart.margin.left + share * (Chart.size.width - Chart.margin.left - Chart.margin.right)
    }

    func y(_ value: Double) -> Double {
      let share = (value - up.lowerBound) / (up.upperBound - up.lowerBound)
      return Chart.size.height - Chart.margin.bottom
        - share * (Chart.size.height - Chart.margin.top - Chart.margin.bottom)
    }
  }

  private func grid(_ frame: Frame, _ across: Ticks, _ up: Ticks) -> String {
    let (left, right) = (Self.margin.left, Self.size.width - Self.margin.right)
    let (top, bottom) = (Self.margin.top, Self.size.height - Self.margin.bottom)
    var text = ""
    for tick in across.values {
      let x = Self.number(frame.x(tick))
      text += "<path class=\"grid\" d=\"M\(x) \(Self.number(top))V\(Self.number(bottom))\"/>"
      text +=
        "<text x=\"\(x)\" y=\"\(Self.number(bottom + 15))\" text-anchor=\"middle\">\(across.label(tick).html)</text>\n"
    }
    for tick in up.values {
      let y = frame.y(tick)
      text += "<path class=\"grid\" d=\"M\(Self.number(left)) \(Self.number(y))H\(Self.number(right))\"/>"
      text +=
        "<text x=\"\(Self.number(left - 6))\" y=\"\(Self.number(y + 4))\" text-anchor=\"end\">\(up.label(tick).html)</text>\n"
    }
    let middle = Self.number(0.5 * (left + right))
    text +=
      "<text x=\"\(middle)\" y=\"\(Self.number(Self.size.height - 8))\" text-anchor=\"middle\">\(x.title.html)</text>\n"
    let height = Self.number(0.5 * (top + bottom))
    return text
      + "<text x=\"13\" y=\"\(height)\" text-anchor=\"middle\" transform=\"rotate(-90 13 \(height))\">\(y.title.html)</text>\n"
  }

  private func curve(_ series: Series, colour: Int, _ frame: Frame) -> String {
    func path(_ points: [(x: Double, y: Double)]) -> String {
      points.map { "\(Self.number(frame.x($0.x))) \(Self.number(frame.y($0.y)))" }.joined(separator: "L")
    }
    let places = series.points.compactMap(place)
    guard let first = places.first else { return "" }
    var text = ""
    if series.band.count == series.points.count {
      let edges = zip(series.points, series.band).compactMap { point, band -> (x: Double, low: Double, high: Double)? in
        guard let x = x.place(point.x), let low = y.place(band.low), let high = y.place(band.high) else { return nil }
        return (x, low, high)
      }
      let outline = edges.map { (x: $0.x, y: $0.high) } + edges.reversed().map { (x: $0.x, y: $0.low) }
      if !outline.isEmpty {
        text += "<path class=\"band\" fill=\"\(Self.colour(colour))\" d=\"M\(path(outline))Z\"/>\n"
      }
    }
    let points = places.count == 1 ? [first, first] : places
    return text + "<path class=\"curve\" stroke=\"\(Self.colour(colour))\" d=\"M\(path(points))\"/>\n"
  }

  private static func mark(_ k: Int, at x: Double, _ y: Double, size: Double, isStop: Bool, told: String) -> String {
    let stop = isStop ? " tabindex=\"0\" role=\"img\"" : ""
    return "<g class=\"mark\"\(stop)><title>\(told.html)</title>\(shape(k, x, y, size))</g>\n"
  }

  /// Colours differ, and shapes where colours come again.
  private static func shape(_ k: Int, _ x: Double, _ y: Double, _ r: Double) -> String {
    let fill = "fill=\"\(colour(k))\""
    let (left, right, top, bottom) = (number(x - r), number(x + r), number(y - r), number(y + r))
    switch (k + k / 8) % 4 {
    case 0: return "<circle \(fill) cx=\"\(number(x))\" cy=\"\(number(y))\" r=\"\(number(r))\"/>"
    case 1: return "<path \(fill) d=\"M\(left) \(top)H\(right)V\(bottom)H\(left)Z\"/>"
    case 2: return "<path \(fill) d=\"M\(number(x)) \(top)L\(right) \(bottom)H\(left)Z\"/>"
    default:
      return
        "<path \(fill) d=\"M\(number(x)) \(top)L\(right) \(number(y))L\(number(x)) \(bottom)L\(left) \(number(y))Z\"/>"
    }
  }

  private static func colour(_ k: Int) -> String { "var(--c\(k % 8))" }

  /// A tenth of a pixel is enough.
  private static func number(_ x: Double) -> String { Figures.short((x * 10).rounded() / 10, digits: 5) }
}

// MARK: - Ticks

/// Round numbers along an axis, and the range that they and the values span.
struct Ticks {
  let values: [Double]
  let range: ClosedRange<Double>
  private let isLogarithmic: Bool

  /// - Parameters:
  ///   - places: what has to be within; logarithms to base 10 on a logarithmic axis.
  ///   - isLogarithmic: whether ticks are whole powers of ten.
  init(_ places: [Double], isLogarithmic: Bool) {
    self.isLogarithmic = isLogarithmic
    let (low, high) = (places.min() ?? 0, places.max() ?? 1)
    // Values that differ by rounding alone are one place.
    let isSpread = high - low > max(1e-9 * max(low.magnitude, high.magnitude), 1e-300)
    let step = Self.step(isLogarithmic ? max(high - low, 1) : isSpread ? high - low : 0, isLogarithmic: isLogarithmic)
    let spread = step > 0 ? step : max(high.magnitude, 1)
    let first = (low / spread).rounded(.down)
    let last = max((high / spread).rounded(.up), first + 1)
    range = first * spread...last * spread
    values = (0...Int(min(last - first, 12))).map { (first + Double($0)) * spread }
  }

  /// 1, 2 or 5 times a power of ten, four to eight to the span; whole on a logarithmic axis.
  private static func step(_ span: Double, isLogarithmic: Bool) -> Double {
    guard span > 0 else { return 0 }
    let power = pow(10, log10(span / 4).rounded(.down))
    let step = [5, 2, 1].map { $0 * power }.first { span / $0 >= 4 } ?? power
    return isLogarithmic ? max(step.rounded(.up), 1) : step
  }

  /// What stands at a tick.
  func label(_ tick: Double) -> String {
    isLogarithmic
      ? (tick == tick.rounded() && tick.magnitude < 1000 ? "1e\(Int(tick))" : "") : Figures.short(tick, digits: 4)
  }
}
