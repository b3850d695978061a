// A router of the deepseek-v3 family in Float32, as a kernel's author would write it first, and the few lines that put golden
// vectors to it: reads vectors, answers every call, writes the answers. No Python, no pipe.
//
//     apt-get install nlohmann-json3-dev
//     clang++ -std=c++17 -O2 docs/examples/vectors/router.cpp -o router
//     routegrad vectors deepseek-v3 --output vectors.jsonl
//     ./router vectors.jsonl > answers.jsonl
//     routegrad lint --vectors vectors.jsonl --answers answers.jsonl
//
// A second argument makes the mistake of that name: bias-in-gate or masked-groups-at-zero.
#include <algorithm>
#include <cmath>
#include <fstream>
#include <functional>
#include <iostream>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

using nlohmann::json;
using row = std::vector<float>;

struct settings {
  int experts, groups, kept, count;
  float epsilon, scale;
  bool bias_in_gate = false, masked_groups_at_zero = false;
};

// One token's experts, multipliers, gradient at the logits, and output.
struct routed {
  std::vector<int> choice;
  row multipliers, gradient, output;
};

static const float minus_infinity = -std::numeric_limits<float>::infinity();

static float sigmoid(float x) { return 1 / (1 + std::exp(-x)); }

// The places of the largest numbers, the largest first, of equal ones the first.
static std::vector<int> largest(const row &values, int count) {
  std::vector<int> places(values.size());
  std::iota(places.begin(), places.end(), 0);
  std::partial_sort(places.begin(), places.begin() + count, places.end(), [&](int a, int b) {
    return values[a] != values[b] ? values[a] > values[b] : a < b;
  });
  places.resize(count);
  return places;
}

static routed route(const settings &s, const row &logits, const row &bias, const std::vector<row> &outputs, const row &upstream) {
  row scores(s.experts), keys(s.experts);
  for (int i = 0; i < s.experts; i++) {
    scores[i] = sigmoid(logits[i]);
    keys[i] = std::isinf(logits[i]) ? minus_infinity : scores[i] + bias[i];
  }

  // A group is worth the sum of its two largest keys; the keys outside of the best groups are −∞.
  int size = s.experts / s.groups;
  row worth(s.groups);
  for (int g = 0; g < s.groups; g++) {
    row group(keys.begin() + g * size, keys.begin() + (g + 1) * size);
    std::sort(group.begin(), group.end(), std::greater<float>());
    worth[g] = size > 1 ? group[0] + group[1] : group[0];
  }
  std::vector<int> best = largest(worth, s.kept);
  row restricted = keys;
  for (int i = 0; i < s.experts; i++) {
    bool is_kept = std::find(best.begin(), best.end(), i / size) != best.end();
    if (!is_kept && !std::isinf(keys[i])) restricted[i] = s.masked_groups_at_zero ? 0 : minus_infinity;
  }

  routed r;
  r.choice = largest(restricted, s.count);
  // Gates are scores, never keys.
  row gates;
  for (int i : r.choice) gates.push_back(s.bias_in_gate ? keys[i] : scores[i]);
  float sum = std::accumulate(gates.begin(), gates.end(), s.epsilon);
  r.output.assign(upstream.size(), 0);
  r.gradient.assign(s.experts, 0);
  row slopes;  // ∂L/∂m
  float mean = 0;
  for (int a = 0; a < s.count; a++) {
    const row &f = outputs[r.choice[a]];
    r.multipliers.push_back(s.scale * gates[a] / sum);
    for (size_t j = 0; j < f.size(); j++) r.output[j] += r.multipliers[a] * f[j];
    slopes.push_back(std::inner_product(f.begin(), f.end(), upstream.begin(), 0.0f));
    mean += slopes[a] * gates[a] / sum;
  }
  for (int a = 0; a < s.count; a++) {
    int i = r.choice[a];
    r.gradient[i] = s.scale / sum * (slopes[a] - mean) * scores[i] * sigmoid(-logits[i]);
  }
  return r;
}

// null stands for −∞.
static row numbers(const json &list) {
  row values;
  for (const json &x : list) values.push_back(x.is_null() ? minus_infinity : x.get<float>());
  return values;
}

int main(int count, char **arguments) {
  if (count < 2) {
    std::cerr << "usage: router VECTORS [bias-in-gate|masked-groups-at-zero]\n";
    return 64;
  }
  std::ifstream file(arguments[1]);
  std::string line;
  if (!std::getline(file, line)) {
    std::cerr << arguments[1] << ": cannot be read\n";
    return 66;
  }
  const json specification = json::parse(line).at("specification");
  const json &groups = specification.at("groups"), &gate = specification.at("gate");
  settings s;
  s.experts = specification.at("experts");
  s.groups = groups.at("count");
  s.kept = groups.at("kept");
  s.count = specification.at("selection").at("count");
  s.epsilon = gate.value("epsilon", 0.0f);
  s.scale = gate.value("scale", 1.0f);
  const std::string mistake = count > 2 ? arguments[2] : "";
  s.bias_in_gate = mistake == "bias-in-gate";
  s.masked_groups_at_zero = mistake == "masked-groups-at-zero";

  while (std::getline(file, line)) {
    const json call = json::parse(line);
    json answer = {{"call", call.at("call")}};
    for (const char *name : {"choice", "multipliers", "gradient", "output"}) answer[name] = json::array();
    const row bias = numbers(call.at("bias"));
    for (size_t t = 0; t < call.at("logits").size(); t++) {
      std::vector<row> outputs;
      for (const json &expert : call.at("expertOutputs")[t]) outputs.push_back(numbers(expert));
      const routed r = route(s, numbers(call.at("logits")[t]), bias, outputs, numbers(call.at("upstream")[t]));
      answer["choice"].push_back(r.choice);
      answer["multipliers"].push_back(r.multipliers);
      answer["gradient"].push_back(r.gradient);
      answer["output"].push_back(r.output);
    }
    std::cout << answer.dump() << "\n";
  }
}
