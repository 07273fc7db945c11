package format

import (
	"bytes"
	"encoding/json"
)

// sameJSON tells whether was and is, both valid JSON, say the same.
func sameJSON(was, is []byte) bool {
	var a, b bytes.Buffer
	return json.Compact(&a, was) == nil && json.Compact(&b, is) == nil && bytes.Equal(a.Bytes(), b.Bytes())
}
