import SwitchTraining
import Glibc
let args = CommandLine.arguments
let seeds = Int(args[1])!
let kind = MixtureTask.Kind(rawValue: args[2])!
let shared = Double(args[3])!
let rates: [String: Double] = ["switch": 0.03, "masked-switch": 0.02, "sparsemixer": 0.01, "sparsemixer-v2": 0.01, "argmax-midpoint": 0.02, "null-contrast": 0.02, "surrogate-experts": 0.02, "exact:expert=sample": 0.01, "exact": 0.02]
var finals: [String: [[(step: Int, loss: Double)]]] = [:]
for router in try TrainingRouter.routers(list: TrainingRouter.standardList) {
  if args.count > 5, !args[5].split(separator: ",").contains(Substring(router.label)) { continue }
  var s = TrainingSettings(router: router)
  s.task = kind; s.shared = shared; s.steps = Int(args[4])!
  s.learningRate = args.count > 6 ? Double(args[6])! : rates[router.label]!
  var t = timespec(); clock_gettime(CLOCK_MONOTONIC, &t)
  for seed in 0..<seeds { s.seed = UInt64(seed) + 1000; finals[router.label, default: []].append(try TrainingRun.run(s)) }
  var u = timespec(); clock_gettime(CLOCK_MONOTONIC, &u)
  let seconds = Double(u.tv_sec - t.tv_sec) + Double(u.tv_nsec - t.tv_nsec) * 1e-9
  let losses = finals[router.label]!.map { $0.last!.loss }
  print(router.label, s.learningRate, losses.map { ($0 * 1e4).rounded() / 1e4 }, "mean", losses.reduce(0,+)/Double(seeds), "s/run", seconds / Double(seeds))
}
func crossing(_ c: [(step: Int, loss: Double)], _ target: Double) -> Double {
  for (a, b) in zip(c, c.dropFirst()) where b.loss <= target {
    return Double(a.step) + Double(b.step - a.step) * (a.loss - target) / (a.loss - b.loss)
  }
  return Double(c.last!.step)
}
if let base = finals["switch"] {
  for (id, curves) in finals.sorted(by: { $0.key < $1.key }) {
    var logs: [Double] = []
    for (a, b) in zip(base, curves) { let target = max(a.last!.loss, b.last!.loss); logs.append(log(crossing(a, target) / crossing(b, target))) }
    let m = logs.reduce(0,+)/Double(logs.count); let sd = (logs.reduce(0){$0+($1-m)*($1-m)}/Double(max(logs.count-1,1))).squareRoot()/Double(logs.count).squareRoot()
    print(id, "speed-up", exp(m), "[", exp(m-2*sd), exp(m+2*sd), "]")
  }
}
