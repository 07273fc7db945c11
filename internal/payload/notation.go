package payload

import (
	"encoding/json"
	"errors"
	"math"

	"github.com/iotctl/iotctl/internal/codec/diagnostic"
)

// ValueOf is what JSON can say of it: tags are left out, keys that are no text are
// their notation, and numbers that JSON has not are strings ("NaN").
func ValueOf(it *diagnostic.Item) any {
	switch it.Kind {
	case diagnostic.Int:
		if !it.Negative {
			return Uint(it.Arg)
		}
		return json.Number(it.Int().String())
	case diagnostic.Big:
		return json.Number(it.Big.String())
	case diagnostic.Float:
		text := string(diagnostic.AppendFloat(nil, it.Float, it.Width))
		if math.IsNaN(it.Float) || math.IsInf(it.Float, 0) {
			return text
		}
		return json.Number(text)
	case diagnostic.NaN:
		return "NaN"
	case diagnostic.Text:
		return string(whole(it))
	case diagnostic.Bytes:
		return Bin(whole(it))
	case diagnostic.Array:
		list := make([]any, 0, len(it.Kids))
		for i := range it.Kids {
			list = append(list, ValueOf(&it.Kids[i]))
		}
		return list
	case diagnostic.Map:
		o := make(Object, 0, len(it.Kids)/2)
		for i := 0; i+1 < len(it.Kids); i += 2 {
			o = append(o, Member{KeyOf(&it.Kids[i]), ValueOf(&it.Kids[i+1])})
		}
		return o
	case diagnostic.Tag:
		return ValueOf(&it.Kids[0])
	case diagnostic.Simple:
		switch it.Arg {
		case diagnostic.True, diagnostic.False:
			return it.Arg == diagnostic.True
		case diagnostic.Null, diagnostic.Undefined:
			return nil
		}
	case diagnostic.App:
		return string(it.Data)
	case diagnostic.Ext:
		return Object{{"type", json.Number(diagnostic.Append(nil, ext(it)))}, {"data", Bin(it.Data)}}
	}
	return string(diagnostic.Append(nil, it))
}

func ext(it *diagnostic.Item) *diagnostic.Item {
	n := diagnostic.IntItem(int64(int8(it.Arg)))
	return &n
}

// whole puts the parts of a string together.
func whole(it *diagnostic.Item) []byte {
	if it.Width != diagnostic.Indefinite {
		return it.Data
	}
	all := []byte{}
	for i := range it.Kids {
		all = append(all, it.Kids[i].Data...)
	}
	return all
}

// ByChance reports whether size bytes may well be the tree it without anybody's
// meaning it: those of a number, in which there is no text.
func ByChance(it *diagnostic.Item, size int) bool {
	const number = 4
	if it.Kind == diagnostic.Text {
		return false
	}
	for i := range it.Kids {
		if !ByChance(&it.Kids[i], size) {
			return false
		}
	}
	return size <= number
}

// KeyOf is the name of a member whose key is it.
func KeyOf(it *diagnostic.Item) string {
	if it.Kind == diagnostic.Text {
		return string(whole(it))
	}
	return string(diagnostic.Append(nil, it))
}

// Notation is the tree of what was typed, or of a value that was given as one.
func (c *Content) Notation() ([]diagnostic.Item, error) {
	text := c.Text
	if text == nil {
		text = AppendJSON(nil, c.Value)
	}
	items, err := diagnostic.ParseSequence(text)
	if wrong := (*diagnostic.SyntaxError)(nil); errors.As(err, &wrong) {
		return nil, &Malformed{Offset: wrong.Offset, Reason: wrong.Reason}
	}
	return items, err
}
