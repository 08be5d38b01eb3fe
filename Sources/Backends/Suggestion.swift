/// The candidate that was probably meant by a mistyped word; nil where none comes near enough.
///
/// Near enough is one slip for every three letters begun: an omitted, added or wrong letter, or two neighbours swapped (the
/// optimal string alignment form of the Damerau–Levenshtein distance); but never as many slips as the word has letters.
/// A difference of case alone is not a slip. Of several equally near the one that comes first in `candidates` is taken.
public func suggestion(for word: String, among candidates: [String]) -> String? {
    let typed = folded(word)
    // Strictly fewer than the letters typed, so that a single letter suggests nothing but itself in the other case.
    let limit = min((typed.count + 2) / 3, typed.count - 1)
    var best: (candidate: String, distance: Int)?
    for candidate in candidates {
        let other = folded(candidate)
        guard abs(other.count - typed.count) <= limit else { continue }
        let distance = editDistance(typed, other)
        if distance <= limit, distance < best?.distance ?? .max { best = (candidate, distance) }
    }
    return best?.candidate
}

/// UTF-8 with ASCII letters in lower case.
private func folded(_ text: String) -> [UInt8] {
    text.utf8.map { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0) ? $0 | 0x20 : $0 }
}

private func editDistance(_ left: [UInt8], _ right: [UInt8]) -> Int {
    // Row i holds the distances between the first i of `left` and every beginning of `right`; a swap looks two rows back.
    var beforeLast: [Int] = []
    var last = Array(0...right.count)
    for i in left.indices {
        var row = [i + 1]
        for j in right.indices {
            var cost = min(last[j + 1] + 1, row[j] + 1, last[j] + (left[i] == right[j] ? 0 : 1))
            if i > 0, j > 0, left[i] == right[j - 1], left[i - 1] == right[j] {
                cost = min(cost, beforeLast[j - 1] + 1)
            }
            row.append(cost)
        }
        beforeLast = last
        last = row
    }
    return last[right.count]
}
