package router

import "strings"

// Covers reports whether wide, a valid topic filter without a share name, matches
// every topic that narrow, another, can match.
func Covers(wide, narrow string) bool {
	wide, narrow = canonical(wide), canonical(narrow)
	if narrow[0] == '$' && (wide[0] == '+' || wide[0] == '#') { // [MQTT-4.7.2-1]
		return false
	}
	for {
		w, wrest, wmore := strings.Cut(wide, "/")
		if w == "#" {
			return true
		}
		n, nrest, nmore := strings.Cut(narrow, "/")
		if n == "#" || w != "+" && w != n {
			return false
		}
		if !nmore {
			return !wmore || wrest == "#"
		}
		if !wmore {
			return false
		}
		wide, narrow = wrest, nrest
	}
}

// canonical gives the two filters that match alike one form.
func canonical(filter string) string {
	if filter == "+/#" {
		return "#"
	}
	return filter
}
