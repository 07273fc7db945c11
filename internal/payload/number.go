package payload

import (
	"encoding/json"
	"math/big"
	"strconv"
	"strings"
)

// maxExponent bounds what a few digits can ask for: 1e999999999.
const maxExponent = 1000

// Rat is n with every digit; false if it is no number, or has more than 10,000
// digits, or an exponent beyond 1000.
func Rat(n json.Number) (*big.Rat, bool) {
	const maxDigits = 10_000
	s := string(n)
	if len(s) > maxDigits || s == "" || strings.ContainsAny(s, "/_xXbBoOpP") {
		return nil, false
	}
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		if e, err := strconv.Atoi(strings.TrimPrefix(s[i+1:], "+")); err != nil || e > maxExponent || e < -maxExponent {
			return nil, false
		}
	}
	return new(big.Rat).SetString(s)
}
