package frame

import _ "embed"

//go:embed README.md
var reference string

// Reference is the description of the language, in Markdown.
func Reference() string { return reference }
