import { connect } from "@tidegate/client/channels";
import { createApp } from "vue";
import App from "./App.vue";

/** A guest keeps its number, so that it is the same user in every tab. Your application has a login instead. */
localStorage.guest ??= Math.random().toString(36).slice(2).padEnd(10, "0");
const token = async () => (await fetch(`/token/${localStorage.guest}`, { method: "POST" })).text();

createApp(App).provide("client", connect(location.origin, { token })).mount("#app");
