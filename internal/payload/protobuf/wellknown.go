package protobuf

import "strings"

// wellKnownSource is the types of a file that protoc brings along, as far as
// payloads can have them; "" if there are none. Files of options have no types
// that matter.
func wellKnownSource(name string) string {
	file, ok := strings.CutPrefix(name, "google/protobuf/")
	if !ok {
		return ""
	}
	const head = `syntax = "proto3"; package google.protobuf; `
	switch file {
	case "any.proto":
		return head + `message Any { string type_url = 1; bytes value = 2; }`
	case "duration.proto":
		return head + `message Duration { int64 seconds = 1; int32 nanos = 2; }`
	case "timestamp.proto":
		return head + `message Timestamp { int64 seconds = 1; int32 nanos = 2; }`
	case "empty.proto":
		return head + `message Empty {}`
	case "field_mask.proto":
		return head + `message FieldMask { repeated string paths = 1; }`
	case "source_context.proto":
		return head + `message SourceContext { string file_name = 1; }`
	case "struct.proto":
		return head + `
			message Struct { map<string, Value> fields = 1; }
			message ListValue { repeated Value values = 1; }
			enum NullValue { NULL_VALUE = 0; }
			message Value {
				oneof kind {
					NullValue null_value = 1; double number_value = 2; string string_value = 3;
					bool bool_value = 4; Struct struct_value = 5; ListValue list_value = 6;
				}
			}`
	case "wrappers.proto":
		return head + `
			message DoubleValue { double value = 1; } message FloatValue { float value = 1; }
			message Int64Value { int64 value = 1; } message UInt64Value { uint64 value = 1; }
			message Int32Value { int32 value = 1; } message UInt32Value { uint32 value = 1; }
			message BoolValue { bool value = 1; } message StringValue { string value = 1; }
			message BytesValue { bytes value = 1; }`
	case "descriptor.proto", "go_features.proto", "cpp_features.proto", "java_features.proto":
		return head
	}
	return ""
}
