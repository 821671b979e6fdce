import { useSignal } from "@preact/signals";
import type { OpenOrder } from "../../../src/client/client.ts";
import type { Demo } from "../model/demo.ts";
import { createOrderForm, type OrderForm } from "../model/order-form.ts";
import { eventCall } from "../model/order-calls.ts";
import { statusWord } from "../model/order-path.ts";
import { hrefOf } from "../model/route.ts";
import { useModel } from "../model/use-model.ts";
import { Alert } from "../parts/alert.tsx";
import type { DemoView } from "../view.ts";
import "./order.css";
import { Tracker } from "./tracker.tsx";

export const orderView: DemoView = {
  id: "orders",
  title: "Orders",
  View: OrderView,
  call: ({ route }) => eventCall(route.value.subject === "" ? "o-1" : route.value.subject, { status: "confirmed" }),
};

function OrderView({ demo }: { demo: Demo }) {
  const form = useModel(() => createOrderForm(demo), [demo]);
  const orderId = demo.route.value.subject;
  return (
    <div class="view">
      <header class="view-head">
        <h1>Orders</h1>
        <p class="lead">
          An order has parties, statuses and a timeline. Even if upstream systems repeat or reorder events, its parties
          see each status once and in order.
        </p>
      </header>
      <OpenOrders demo={demo} form={form} shown={orderId} />
      {orderId !== "" && <Tracker demo={demo} orderId={orderId} key={orderId} />}
    </div>
  );
}

function OpenOrders({ demo, form, shown }: { demo: Demo; form: OrderForm; shown: string }) {
  const open = form.open.value;
  return (
    <section class="order-form" aria-label="Open orders">
      <NewOrder demo={demo} form={form} />
      {open.length > 0 && (
        <ul class="open-orders">
          {open.map((order) => (
            <OpenOrderLink key={order.orderId} order={order} isShown={order.orderId === shown} name={demo.login.name} />
          ))}
        </ul>
      )}
      {open.length === 0 && form.isLoaded.value && <p class="hint">You have no open orders.</p>}
    </section>
  );
}

function OpenOrderLink({ order, isShown, name }: { order: OpenOrder; isShown: boolean; name: string }) {
  const { orderId, status, parties } = order;
  return (
    <li>
      <a class="open-order" href={hrefOf("orders", orderId)} aria-current={isShown ? "true" : undefined}>
        <b>{orderId}</b> {statusWord(status)}
        {parties.courier === name && parties.customer !== name && <span class="tag">to deliver</span>}
      </a>
    </li>
  );
}

function NewOrder({ demo, form }: { demo: Demo; form: OrderForm }) {
  const { apiKey, name } = demo.login;
  const courier = useSignal(name === "bob" ? "ada" : "bob");
  if (apiKey === undefined) return <p class="hint">Only backends create orders, and this page has no API key.</p>;

  function create(event: Event): void {
    event.preventDefault();
    void form.create(apiKey ?? "", courier.value.trim());
  }

  return (
    <form class="row" onSubmit={create}>
      <button type="submit" class="primary" disabled={form.attempts.isBusy.value}>
        Create an order
      </button>
      <label class="inline">
        Courier
        <input
          class="courier-name"
          aria-label="Courier's name"
          required
          maxLength={64}
          pattern=".*\S.*"
          value={courier}
          onInput={(event) => (courier.value = event.currentTarget.value)}
        />
      </label>
      <Alert text={form.attempts.error.value} />
    </form>
  );
}
