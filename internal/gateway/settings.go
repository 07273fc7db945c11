package gateway

import "fmt"

// Default gives a setting that nobody has made, which is zero, its value.
func Default[T comparable](v *T, to T) {
	var zero T
	if *v == zero {
		*v = to
	}
}

// NotNegative is what Validate says of a number or duration below zero, with the
// name of the configuration file; nil for others.
func NotNegative[T ~int | ~int64](name string, v T) error {
	if v < 0 {
		return fmt.Errorf("%s: %v is negative", name, v)
	}
	return nil
}
