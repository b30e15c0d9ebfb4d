// Starts Swagger UI on the page's own document. A file and not inline, so that the
// Content-Security-Policy can refuse every inline script.
"use strict";
const place = document.getElementById("swagger-ui");
SwaggerUIBundle({
  domNode: place,
  url: place.dataset.url,
  deepLinking: true,
  // Swagger's own validator would be asked over the Internet.
  validatorUrl: null,
});
