package payload

import (
	"encoding/json"
	"math"
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

// Int is n as a value.
func Int(n int64) json.Number { return json.Number(strconv.FormatInt(n, 10)) }

// Uint is n as a value.
func Uint(n uint64) json.Number { return json.Number(strconv.FormatUint(n, 10)) }

// Float is f as a value, with the digits that its size in bits has. JSON has no
// NaN and no infinity: they are text.
func Float(f float64, bits int) any {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	verb := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		verb = 'e'
	}
	return json.Number(strconv.FormatFloat(f, verb, -1, bits))
}
