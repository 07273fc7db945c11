package jq

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/big"
	"slices"
	"strconv"

	"github.com/iotctl/iotctl/internal/payload"
)

// Parse reads JSON into a form that Run takes as it is: map[string]any, []any,
// string, json.Number, bool and nil. Of members with one name the last counts.
func Parse(b []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("more follows the value at byte %d", d.InputOffset())
	}
	return v, nil
}

// input turns the types of package payload into those of gojq. The rest, what
// Parse has made included, stays as it is.
func input(v any) any {
	switch v := v.(type) {
	case payload.Object:
		m := make(map[string]any, len(v))
		for _, member := range v {
			m[member.Name] = input(member.Value)
		}
		return m
	case payload.Bin:
		return base64.StdEncoding.EncodeToString(v)
	case []any:
		if !slices.ContainsFunc(v, foreign) {
			return v
		}
		list := make([]any, len(v))
		for i, e := range v {
			list[i] = input(e)
		}
		return list
	}
	return v
}

// foreign tells that input changes v, or might.
func foreign(v any) bool {
	switch v.(type) {
	case payload.Object, payload.Bin, []any:
		return true
	}
	return false
}

// outputs turns results of gojq into values of package payload, as long as they do
// not become too many.
type outputs struct {
	orders orders
	size   int // as JSON, near enough
}

func (o *outputs) value(v any) (any, error) {
	if o.size += 2; o.size > MaxOutputBytes {
		return nil, ErrOutput
	}
	switch v := v.(type) {
	case string:
		o.size += len(v)
		return v, nil
	case json.Number:
		o.size += len(v)
		return v, nil
	case int:
		return o.number(strconv.Itoa(v)), nil
	case *big.Int:
		return o.number(v.String()), nil
	case float64:
		if math.IsNaN(v) {
			return nil, nil
		}
		return o.number(number(v)), nil
	case []any:
		list := make([]any, len(v))
		for i, e := range v {
			var err error
			if list[i], err = o.value(e); err != nil {
				return nil, err
			}
		}
		return list, nil
	case map[string]any:
		object := make(payload.Object, 0, len(v))
		for _, name := range o.orders.of(v) {
			o.size += len(name)
			value, err := o.value(v[name])
			if err != nil {
				return nil, err
			}
			object = append(object, payload.Member{Name: name, Value: value})
		}
		return object, nil
	}
	return v, nil // nil, bool
}

func (o *outputs) number(s string) any {
	o.size += len(s)
	return json.Number(s)
}

// number writes f, which is one, as jq does: an infinite one as the nearest that
// there is.
func number(f float64) string {
	f = max(min(f, math.MaxFloat64), -math.MaxFloat64)
	if a := math.Abs(f); a != 0 && (a < 1e-6 || a >= 1e17) {
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	return strconv.FormatFloat(f, 'f', -1, 64)
}
