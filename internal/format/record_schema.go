package format

import _ "embed"

// RecordSchema is the JSON Schema of what AppendRecord and AppendStored write. Its
// $id ends with the version, which is another one when readers would have to
// change.
//
//go:embed record.schema.json
var RecordSchema string

// RecordMembers are the members that a record may have.
var RecordMembers = []string{
	"time", "topic", "qos", "retain", "mid", "expires", "publisher", "owner", "properties", "size",
	"encoding", "payload", "raw", "format", "value", "notation", "notes", "problem",
}
