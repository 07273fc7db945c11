// Package spelling tells how near a word that somebody has typed is to one that there
// is. What is near enough for a hint is for the caller to say.
package spelling

import "iter"

// Distance is the number of bytes to change, add or leave out to get from a to b
// (Levenshtein's). The time it takes is in proportion to the product of their lengths.
func Distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}

// Nearest is the word at the least distance, 2 at most, from one that was typed;
// of several the first in the alphabet. false: none is so near, or word is so
// short that everything would be.
func Nearest(word string, words iter.Seq[string]) (nearest string, ok bool) {
	const most = 2
	least := min(most, len(word)-1)
	for w := range words {
		if len(w)-len(word) > most || len(word)-len(w) > most {
			continue
		}
		if d := Distance(w, word); d < least || d == least && (!ok || w < nearest) {
			nearest, least, ok = w, d, true
		}
	}
	return nearest, ok
}
