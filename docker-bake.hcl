# The image for both architectures, with an SBOM and provenance: VERSION=1.2.3 REVISION=$(git rev-parse HEAD) docker buildx bake --push
variable "IMAGE" {
  default = "tidegate"
}
variable "VERSION" {
  default = "0.1.0"
}
variable "REVISION" {
  default = ""
}

group "default" {
  targets = ["gateway"]
}

target "gateway" {
  context   = "."
  tags      = ["${IMAGE}:${VERSION}", "${IMAGE}:latest"]
  platforms = ["linux/amd64", "linux/arm64"]
  labels = {
    "org.opencontainers.image.version"  = VERSION
    "org.opencontainers.image.revision" = REVISION
  }
  attest = ["type=sbom", "type=provenance,mode=max"]
}
