import Foundation

/// Seconds for one run of a piece of work, sampled as the peers do: each sample repeats the work for at least 0.2 s and
/// notes how busy other processes kept the machine meanwhile.
struct Timing: Encodable {
  /// Seconds a run, sorted: of the quiet samples if there are three of them, else of all.
  let seconds: [Double]
  let samples: Int
  let quietSamples: Int
  let inner: Int
  let ownSeconds: Double
  let foreignLoad: Double

  private static let quiet = 0.08
  private static let sampleSeconds = 0.2

  var median: Double { seconds[seconds.count / 2] }

  enum CodingKeys: String, CodingKey {
    case samples, inner
    case quietSamples = "quiet_samples"
    case ownSeconds = "own_cpu_seconds_median"
    case foreignLoad = "foreign_cpu_median"
  }

  init(_ options: BenchOptions, _ work: () -> Void) {
    let waitUntil = Clock.now + options.waitQuiet
    if options.waitQuiet > 0 { Self.waitForQuiet(until: waitUntil) }
    for _ in 0..<options.warmup { work() }
    let once = Clock.seconds { work() }
    let inner = max(1, Int((Self.sampleSeconds / max(once, 1e-6)).rounded()))
    var rows: [(seconds: Double, foreign: Double, own: Double)] = []
    let begun = Clock.now
    while true {
      if options.waitQuiet > 0 { Self.waitForQuiet(until: waitUntil) }
      let before = (busy: Clock.machineBusy, own: Clock.ownBusy)
      let elapsed = Clock.seconds { for _ in 0..<inner { work() } }
      let own = Clock.ownBusy - before.own
      let foreign = max(0, Clock.machineBusy - before.busy - own) / elapsed
      rows.append((elapsed / Double(inner), foreign, own / Double(inner)))
      let quiet = rows.count { $0.foreign <= Self.quiet }
      let now = Clock.now
      if quiet >= options.repeats { break }
      if now > waitUntil, now - begun > options.budget, rows.count >= 3 { break }
    }
    let quiet = rows.filter { $0.foreign <= Self.quiet }
    let used = quiet.count >= 3 ? quiet : rows
    func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }
    seconds = used.map(\.seconds).sorted()
    samples = rows.count
    quietSamples = quiet.count
    self.inner = inner
    ownSeconds = median(used.map(\.own))
    foreignLoad = median(used.map(\.foreign))
  }

  private static func waitForQuiet(until deadline: Double) {
    while Clock.now < deadline {
      let before = (busy: Clock.machineBusy, own: Clock.ownBusy)
      let elapsed = Clock.seconds { usleep(300_000) }
      if (Clock.machineBusy - before.busy - (Clock.ownBusy - before.own)) / elapsed <= quiet { return }
    }
  }
}

/// Clocks of this process and of the machine, in seconds.
enum Clock {
  static var now: Double { Double(DispatchTime.now().uptimeNanoseconds) * 1e-9 }

  static func seconds(_ work: () -> Void) -> Double {
    let start = now
    work()
    return now - start
  }

  /// Processor time that this process has used.
  static var ownBusy: Double {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    func seconds(_ t: timeval) -> Double { Double(t.tv_sec) + Double(t.tv_usec) * 1e-6 }
    return seconds(usage.ru_utime) + seconds(usage.ru_stime)
  }

  /// Processor time that all processes have used, from /proc/stat; 0 where there is none.
  static var machineBusy: Double {
    guard let text = try? String(contentsOfFile: "/proc/stat", encoding: .utf8) else { return 0 }
    let fields = text.prefix { $0 != "\n" }.split(separator: " ").dropFirst().compactMap { Double($0) }
    guard fields.count >= 8 else { return 0 }
    // user, nice, system, irq, softirq, steal
    let ticks = [0, 1, 2, 5, 6, 7].reduce(0) { $0 + fields[$1] }
    return ticks / Double(sysconf(Int32(_SC_CLK_TCK)))
  }
}
